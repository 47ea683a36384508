/* Replays a corpus through a fuzz target where libFuzzer is not linked (gcc, sanitizer builds):
 * every file named, and every file in every folder named. Exits 1 when nothing was read: a test that ran nothing
 * must not pass. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t cap = 1 << 22, n = 0;
    uint8_t *whole = malloc(cap);
    n = fread(whole, 1, cap, f);
    fclose(f);
    /* an exact-size copy, so that the address sanitizer sees the first byte read past the end */
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, whole, n);
    free(whole);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    replayed++;
}

static void replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char full[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
        replay_file(full);
    }
    if (dir != NULL)
        closedir(dir);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-')
            replay(argv[i]);
    printf("replayed %u inputs\n", replayed);
    return replayed > 0 ? 0 : 1;
}
