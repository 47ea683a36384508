#!lua name=tidegate
-- Tidegate's function library: append and publish as one step. redis_fn.h says how the functions are called and what
-- they answer.
--
-- Redis runs one call at a time, so each call is a transaction. What need not survive a restart is in locals of this
-- file: the pipes, and the highest id given. What must survive is in the bucket's keys, and the marker vouches for it.
-- A call that may not write (OOM, NOREPLICAS, MISCONF, READONLY, CLUSTERDOWN) is refused by Redis before it starts, so
-- no such error leaves half of an append behind.
--
-- What an append costs beyond XADD and PUBLISH is passing strings into and out of Lua, which hashes every byte of each.
-- So arguments come as a row of MessagePack values in one string, and the body is joined with its ids in one step.
-- Numbers stay below 2^53, where doubles are exact. A change of what a function takes or answers is a new function
-- tg2_… in this library (two libraries would have two clocks). Every change raises the version.
local VERSION = 2

-- Of this many pipes, those used last, the sequence is remembered, and of at most as many again.
local PIPES = 2048
-- A meta keeps the coordinates of this many partitions; of more only while the marker does not vouch for them,
local PARTS = 64
-- and of no more than this: a target that gets events from more within a few seconds may see repeats after a crash.
local PARTS_MAX = 512
-- Idempotency keys of one target.
local KEYS_MAX = 10000

local last = 0 -- the highest id given, in microseconds
local clock_pipe, clock_turn -- whose append read the clock last, and in which of its turns
local young, old, young_count = {}, {}, 0 -- pipe → its last sequence number

-- None of these exists yet while a library loads: the first call takes them.
local call, pack, unpack, unpack_limit, format, sub
local function bind()
    pack, unpack, unpack_limit = cmsgpack.pack, cmsgpack.unpack, cmsgpack.unpack_limit
    format, sub = string.format, string.sub
    call = redis.call
end

local function refusal(word, value)
    return { err = format('%s %.0f', word, value) }
end

-- The empty pipe keeps no order: publishers that are not routers.
local function pipe_refuses(pipe, seq)
    if pipe == '' then
        return
    end
    local expected = (young[pipe] or old[pipe] or 0) + 1
    if seq ~= expected then
        return refusal('TGPIPE', expected)
    end
end

local function pipe_advance(pipe, seq)
    if pipe == '' then
        return
    end
    if not young[pipe] then
        if young_count == PIPES then
            old, young, young_count = young, {}, 0
        end
        young_count = young_count + 1
    end
    young[pipe] = seq
end

-- The next id above floor and above all that this node gave: its clock, unless that is behind or not asked.
local function next_id(floor, skip_clock)
    local id = 0
    if not skip_clock then
        local time = call('TIME')
        id = time[1] * 1000000 + time[2]
    end
    if id <= last then
        id = last + 1
    end
    if id <= floor then
        id = floor + 1
    end
    last = id
    return id
end

-- %d has 64 bits where Redis has.
local function id_text(id)
    if id == 0 then
        return '0'
    end
    local us = id % 1000
    return format('%d-%d', (id - us) / 1000, us)
end

local function applied(n, offset, last_n, last_offset)
    return offset < last_offset or (offset == last_offset and n <= last_n)
end

-- Coordinates to keep beside a new partition's: the newest, then those that the marker does not vouch for.
local function prune(marker, parts)
    local values = { unpack(parts) }
    local count = #values / 3
    if count < PARTS then
        return parts
    end
    local kept = {}
    for i = 1, count do
        local part, n, offset = values[3 * i - 2], values[3 * i - 1], values[3 * i]
        local vouched = i >= PARTS and (tonumber(call('HGET', marker, part)) or 0) > offset
        if not vouched and #kept < PARTS_MAX - 1 then
            kept[#kept + 1] = pack(part, n, offset)
        end
    end
    return table.concat(kept)
end

-- Takes a partition's coordinates out of the others. Returns what is left, and what it took (nil if it was not there).
-- A packed name (its length, then characters of a topic's name) cannot begin anywhere else in the row but inside an
-- offset beyond 2^47, which Kafka does not reach.
local function take_part(parts, part)
    local from, to = string.find(parts, pack(part), 1, true)
    if not from then
        return parts
    end
    local behind, n, offset = unpack_limit(parts, 2, to)
    local tail = behind < 0 and '' or sub(parts, behind + 1)
    return sub(parts, 1, from - 1) .. tail, n, offset
end

-- For an append that does not simply go on where the meta's newest partition stood: asks the marker. Returns the other
-- partitions' coordinates and the epoch in force; or nil, nil and the answer to give: 0 for a duplicate, or a refusal.
local function locate(marker, meta, epoch, part, n, offset)
    local mark = call('HMGET', marker, 'epoch', part)
    local now = tonumber(mark[1])
    if not now then
        return nil, nil, { err = 'TGMARKER missing' }
    end
    -- A meta of another epoch is older than the marker's loss: what it says of this target still holds.
    if epoch ~= 0 and epoch ~= now then
        return nil, nil, refusal('TGEPOCH', now)
    end
    local behind = meta and unpack_limit(meta, 3) or -1
    local parts = behind < 0 and '' or sub(meta, behind + 1)
    if part == '' then
        return parts, now
    end
    local others, last_n, last_offset = take_part(parts, part)
    if last_n then
        if applied(n, offset, last_n, last_offset) then
            return nil, nil, 0
        end
        return others, now
    end
    -- Unknown or pruned: all that lies below the watermark was applied.
    if offset < (tonumber(mark[2]) or 0) then
        return nil, nil, 0
    end
    return prune(marker, parts), now
end

-- Whether a publisher's key was taken within a window of Kafka's time: a backlog that is read late still finds its
-- repeats. A time ahead of this node's counts as now, here as where it was remembered.
local function is_taken(set, key, window, kafka_ms)
    local ms = tonumber(call('ZSCORE', set, key))
    if not ms then
        return false
    end
    if kafka_ms - ms > window then
        local time = call('TIME')
        local now_ms = time[1] * 1000 + time[2] / 1000
        kafka_ms = kafka_ms < now_ms and kafka_ms or now_ms
    end
    return math.abs(kafka_ms - ms) <= window
end

-- What is too old leaves the set in some of the calls, for it is not believed anyway.
local function remember(set, key, window, kafka_ms, now_ms, ttl, refreshed)
    local ms = kafka_ms < now_ms and kafka_ms or now_ms
    call('ZADD', set, 'GT', ms, key)
    local count = call('ZCARD', set)
    if count == 1 or refreshed then
        call('PEXPIRE', set, window + ttl)
    end
    if count % 16 == 0 then
        call('ZREMRANGEBYSCORE', set, '-inf', format('(%.0f', ms - window))
    end
    if count > KEYS_MAX then
        call('ZREMRANGEBYRANK', set, 0, -KEYS_MAX - 1)
    end
end

local function meta_of(id, epoch, expires, part, n, offset, others)
    if part == '' then
        return pack(id, epoch, expires) .. others
    end
    return pack(id, epoch, expires, part, n, offset) .. others
end

-- Writes the event and its coordinates. Expiry only rises, and is looked at when a tenth of it has passed: true if it
-- was refreshed.
local function keep(keys, id, text, message, maxlen, ttl, expires, epoch, part, n, offset, others)
    call('XADD', keys[1], 'MAXLEN', '~', maxlen, text, 'e', message)
    local ms = (id - id % 1000) / 1000
    if expires - ms >= 0.9 * ttl then
        call('SET', keys[2], meta_of(id, epoch, expires, part, n, offset, others), 'KEEPTTL')
        return false
    end
    call('PEXPIRE', keys[1], ttl)
    call('SET', keys[2], meta_of(id, epoch, ms + ttl, part, n, offset, others), 'PX', ttl + (ttl - ttl % 4) / 4)
    return true
end

local function append(keys, args)
    if not call then
        bind()
    end
    local pipe, seq, turn, epoch, part, n, offset, maxlen, ttl, key, window, kafka_ms = unpack(args[1])
    local refused = pipe_refuses(pipe, seq)
    if refused then
        return refused
    end

    local meta = call('GET', keys[2])
    local behind, prev, was, expires, part1, n1, offset1 = -1, 0, nil, 0
    if meta then
        behind, prev, was, expires, part1, n1, offset1 = unpack_limit(meta, 6)
    end
    local others, answer
    if part ~= part1 or epoch ~= was then
        others, epoch, answer = locate(keys[3], meta, epoch, part, n, offset)
    elseif applied(n, offset, n1, offset1) then
        answer = 0
    else
        others = behind < 0 and '' or sub(meta, behind + 1)
    end
    if answer then
        if answer == 0 then
            pipe_advance(pipe, seq)
        end
        return answer
    end
    if key and is_taken(keys[4], key, window, kafka_ms) then
        if meta then
            call('SET', keys[2], meta_of(prev, epoch, expires, part, n, offset, others), 'KEEPTTL')
        end
        pipe_advance(pipe, seq)
        return 0
    end

    -- Asking for the time is a tenth of the cost of an append: once a turn will do.
    local id = next_id(prev, turn == clock_turn and pipe == clock_pipe and turn ~= 0)
    clock_pipe, clock_turn = pipe, turn
    local text = id_text(id)
    local message = text .. ' ' .. id_text(prev) .. ' ' .. args[3]
    local refreshed = keep(keys, id, text, message, maxlen, ttl, expires, epoch, part, n, offset, others)
    if key then
        remember(keys[4], key, window, kafka_ms, (id - id % 1000) / 1000, ttl, refreshed)
    end
    call('SPUBLISH', args[2], message)
    pipe_advance(pipe, seq)
    return id
end

-- Whether history of a bucket is still to be refilled with what lies at this offset.
local function is_awaited(marker, part, offset)
    local bound = call('HGET', marker, 'r:' .. sub(part, 2))
    return bound and offset < (tonumber(bound) or math.huge)
end

-- An append to the second log, whose coordinates and watermark are those of the part '~' .. part. Rare, and so it looks
-- at the marker each time.
local function refill(keys, args)
    if not call then
        bind()
    end
    local pipe, seq, turn, epoch, part, n, offset, maxlen, ttl, key, window, kafka_ms = unpack(args[1])
    local refused = pipe_refuses(pipe, seq)
    if refused then
        return refused
    end

    local meta = call('GET', keys[2])
    local others, now, answer = locate(keys[3], meta, epoch, part, n, offset)
    if not answer then
        local known = key and is_taken(keys[4], key, window, kafka_ms)
        answer = (known or not is_awaited(keys[3], part, offset)) and 0
    end
    if answer then
        if answer == 0 then
            pipe_advance(pipe, seq)
        end
        return answer
    end

    local prev, expires = 0, 0
    if meta then
        local _, last_id, _, due = unpack_limit(meta, 3)
        prev, expires = last_id, due
    end
    local id = next_id(prev, turn == clock_turn and pipe == clock_pipe and turn ~= 0)
    clock_pipe, clock_turn = pipe, turn
    local text = id_text(id)
    local message = text .. ' ' .. id_text(prev) .. ' ' .. args[2]
    local refreshed = keep(keys, id, text, message, maxlen, ttl, expires, now, part, n, offset, others)
    if key then
        remember(keys[4], key, window, kafka_ms, (id - id % 1000) / 1000, ttl, refreshed)
    end
    pipe_advance(pipe, seq)
    return id
end

local function publish(keys, args)
    if not call then
        bind()
    end
    local pipe, seq = unpack(args[1])
    local refused = pipe_refuses(pipe, seq)
    if refused then
        return refused
    end
    call('SPUBLISH', keys[1], '0 0 ' .. args[2])
    pipe_advance(pipe, seq)
    return 1
end

local CREATE_SINCE_NOW, CREATE_SINCE_ZERO = 1, 2

-- The fields of a marker beside epoch and since, by how their names begin. No topic's name has ':' or '~'.
-- <part>     watermark: everything below was appended, or is below the part's bound. Only rises: what was applied once
--            stays applied, whoever rewinds
-- r:<part>   bound: history below it is to be refilled; '?' until the part's owner says where its live events start
-- ~<part>    watermark of the refill; at the bound both are removed
-- refilling  how many bounds there are
-- from       time of Kafka's from which what is refilled is complete
local raise = {}

local function raise_number(marker, field, value)
    if value > (tonumber(call('HGET', marker, field)) or -1) then
        call('HSET', marker, field, value)
    end
end

raise['r:'] = function(marker, field, bound, since)
    local old = call('HGET', marker, field)
    if not old then
        -- A partition that the maker of the marker did not know; but one that was applied has nothing to be refilled.
        if since == '0' or call('HEXISTS', marker, sub(field, 3)) == 1 then
            return
        end
        call('HINCRBY', marker, 'refilling', 1)
    end
    -- Of two who think that they own the part, the higher bound is the one below which nothing can be missing.
    if bound ~= '?' and bound > (tonumber(old) or -1) then
        call('HSET', marker, field, bound)
    elseif not old then
        call('HSET', marker, field, '?')
    end
end

raise['~'] = function(marker, field, offset)
    local bound_field = 'r:' .. sub(field, 2)
    local bound = call('HGET', marker, bound_field)
    if not bound then
        return
    end
    if offset < (tonumber(bound) or math.huge) then
        raise_number(marker, field, offset)
        return
    end
    call('HDEL', marker, bound_field, field)
    call('HINCRBY', marker, 'refilling', -1)
end

local function raise_fields(marker, values, from)
    local since = call('HGET', marker, 'since')
    for i = from, #values, 2 do
        local field = values[i]
        local rule = raise[sub(field, 1, 2)] or raise[sub(field, 1, 1)] or raise_number
        rule(marker, field, values[i + 1], since)
    end
end

local function mark(keys, args)
    if not call then
        bind()
    end
    local values = { unpack(args[1]) }
    local pipe, seq, epoch, create = values[1], values[2], values[3], values[4]
    local refused = pipe_refuses(pipe, seq)
    if refused then
        return refused
    end

    local now = tonumber(call('HGET', keys[1], 'epoch'))
    if not now then
        if create ~= CREATE_SINCE_NOW and create ~= CREATE_SINCE_ZERO then
            return { err = 'TGMARKER missing' }
        end
        local since = create == CREATE_SINCE_NOW and next_id(0) or 0
        call('HSET', keys[1], 'epoch', epoch, 'since', id_text(since))
        now = epoch
    end
    if now == epoch then
        raise_fields(keys[1], values, 5)
    elseif create == 0 then
        return refusal('TGEPOCH', now)
    end
    pipe_advance(pipe, seq)
    return now
end

-- The beat's key holds the highest id across restarts and failovers, for the first beat to go on from.
local function beat(keys, args)
    if not call then
        bind()
    end
    local pipe, seq, floor = unpack(args[1])
    local refused = pipe_refuses(pipe, seq)
    if refused then
        return refused
    end
    if last == 0 then
        last = tonumber(call('GET', keys[1])) or 0
    end
    local id = next_id(floor)
    call('SET', keys[1], id)
    call('SPUBLISH', keys[1], id_text(id))
    pipe_advance(pipe, seq)
    return { id, VERSION }
end

local function heads(keys)
    if not call then
        bind()
    end
    local ids = {}
    for i = 1, #keys do
        local meta = call('GET', keys[i])
        local _, id = unpack_limit(meta or '\0', 1)
        ids[i] = id
    end
    return ids
end

-- The other way. What is no id is below all.
local function id_number(text)
    local ms, us = string.match(text or '', '^(%d+)-(%d+)$')
    return ms and ms * 1000 + us or 0
end

local READ_STEP_MAX = 64 -- entries looked at together

-- A log's events behind an id, as many as a reader can hold: whether these were all, then their envelopes.
local function read(keys, args)
    if not call then
        bind()
    end
    local from, most, bytes = unpack(args[1])
    local found, count, size, at, step = { 0 }, 0, 0, '(' .. id_text(from), 4
    repeat
        local entries = call('XRANGE', keys[1], at, '+', 'COUNT', step)
        for i = 1, #entries do
            local envelope = entries[i][2][2]
            count, size = count + 1, size + #envelope
            found[count + 1] = envelope
            if count >= most or size >= bytes then
                return found
            end
            at = '(' .. entries[i][1]
        end
        local ended = #entries < step
        step = count == 0 and 1 or math.ceil((bytes - size) / (size / count + 1))
        step = math.max(1, math.min(step, most - count, READ_STEP_MAX))
    until ended
    found[1] = 1
    return found
end

-- How many events of a log stand behind an id (and the floor, below which nothing counts), without looking at them
-- where their number is known. Returns the oldest above the floor, the count, and where to go on counting: 0 at the
-- end.
local function count(keys, args)
    if not call then
        bind()
    end
    local from, floor, most = unpack(args[1])
    local first = call('XRANGE', keys[1], '-', '+', 'COUNT', 1)[1]
    local oldest = first and id_number(first[1]) or 0
    from = math.max(from, floor)
    if oldest > from then
        return { oldest, call('XLEN', keys[1]), 0 }
    end
    if first and oldest <= floor then
        first = call('XRANGE', keys[1], '(' .. id_text(floor), '+', 'COUNT', 1)[1]
        oldest = first and id_number(first[1]) or 0
    end
    local counted, at = 0, '(' .. id_text(from)
    while counted < most do
        local step = math.min(READ_STEP_MAX, most - counted)
        local entries = call('XRANGE', keys[1], at, '+', 'COUNT', step)
        counted = counted + #entries
        if #entries < step then
            return { oldest, counted, 0 }
        end
        at = '(' .. entries[step][1]
    end
    return { oldest, counted, id_number(sub(at, 2)) }
end

-- A device's cursor: its position, when it was seen last in milliseconds, and 1 once it has acknowledged by itself.
local function cursor_of(value)
    local id, seen, acks = string.match(value or '', '^(%S+) (%d+) (%d)$')
    return id_number(id), tonumber(seen) or 0, tonumber(acks) or 0
end

-- Devices not seen for so long, and of the others those that are too many.
local function forget_devices(key, oldest, most)
    local row, left = call('HGETALL', key), {}
    for i = 1, #row, 2 do
        local _, seen = cursor_of(row[i + 1])
        if seen < oldest then
            call('HDEL', key, row[i])
        else
            left[#left + 1] = { row[i], seen }
        end
    end
    if #left <= most then
        return
    end
    table.sort(left, function(a, b)
        return a[2] > b[2]
    end)
    for i = most + 1, #left do
        call('HDEL', key, left[i][1])
    end
end

-- Cursors only rise, whoever writes them how late.
local function cursor(keys, args)
    if not call then
        bind()
    end
    local values = { unpack(args[1]) }
    local ttl, most = values[1], values[2]
    local time = call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    for i = 3, #values, 3 do
        local device, id, acks = values[i], values[i + 1], values[i + 2]
        local had, _, acked = cursor_of(call('HGET', keys[1], device))
        id, acks = math.max(id, had), math.max(acks, acked)
        call('HSET', keys[1], device, format('%s %.0f %d', id_text(id), now, acks))
    end
    local devices = call('HLEN', keys[1])
    if devices > (#values - 2) / 3 then
        forget_devices(keys[1], now - ttl, most)
    end
    call('PEXPIRE', keys[1], ttl)
    return devices
end

local function version()
    return VERSION
end

redis.register_function('tg1_append', append)
redis.register_function('tg1_refill', refill)
redis.register_function('tg1_publish', publish)
redis.register_function('tg1_mark', mark)
redis.register_function('tg1_beat', beat)
redis.register_function { function_name = 'tg1_heads', callback = heads, flags = { 'no-writes' } }
redis.register_function { function_name = 'tg1_read', callback = read, flags = { 'no-writes' } }
redis.register_function { function_name = 'tg1_count', callback = count, flags = { 'no-writes' } }
redis.register_function('tg1_cursor', cursor)
redis.register_function { function_name = 'tg1_version', callback = version, flags = { 'no-writes', 'allow-stale' } }
