# Writes OUT, a C file that defines `const char NAME[]` and `const size_t NAME_size` with the bytes of IN and a NUL
# behind them that is not counted. Run at build time: cmake -DIN=… -DOUT=… -DNAME=… -P embed.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const char ${NAME}[];\nextern const size_t ${NAME}_size;\n"
  "const char ${NAME}[] = {\n${bytes}0};\nconst size_t ${NAME}_size = sizeof(${NAME}) - 1;\n")
