/* Replies about where the data are: those of real servers, and what must not be believed. */
#include "common/redis_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static redisReply *reply_of(const char *resp)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* ---- MOVED and ASK ---- */

static void redirections(void **state)
{
    struct redis_moved m;
    assert_int_equal(redis_read_moved(SLICE("MOVED 3999 127.0.0.1:6381"), &m), REDIS_MOVED);
    assert_int_equal(m.slot, 3999);
    assert_string_equal(m.host, "127.0.0.1");
    assert_int_equal(m.port, 6381);
    assert_int_equal(redis_read_moved(SLICE("ASK 0 redis-2.example:6379"), &m), REDIS_ASK);
    assert_string_equal(m.host, "redis-2.example");
    assert_int_equal(redis_read_moved(SLICE("MOVED 16383 ::1:7000"), &m), REDIS_MOVED);
    assert_string_equal(m.host, "::1");
    assert_int_equal(m.port, 7000);
    assert_int_equal(redis_read_moved(SLICE("MOVED 5 :7000"), &m), REDIS_MOVED);
    assert_string_equal(m.host, "");
}

static void no_redirections(void **state)
{
    static const char *const texts[] = {"",
                                        "MOVED",
                                        "MOVED ",
                                        "MOVED 1",
                                        "MOVED 16384 h:1",
                                        "MOVED -1 h:1",
                                        "MOVED 1 h",
                                        "MOVED 1 h:",
                                        "MOVED 1 h:0",
                                        "MOVED 1 h:65536",
                                        "MOVED 1 h\x01:1",
                                        "TRYAGAIN Multiple keys request during rehashing of slot",
                                        "CLUSTERDOWN Hash slot not served"};
    struct redis_moved m;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(redis_read_moved(slice_of(texts[i]), &m), REDIS_NOT_REDIRECTED);
}

static void errors_that_pass(void **state)
{
    assert_true(redis_is_passing(SLICE("MOVED 1 h:1")));
    assert_true(redis_is_passing(SLICE("ASK 1 h:1")));
    assert_true(redis_is_passing(SLICE("TRYAGAIN Multiple keys request during rehashing of slot")));
    assert_true(redis_is_passing(SLICE("CLUSTERDOWN The cluster is down")));
    assert_false(redis_is_passing(SLICE("CROSSSLOT Keys in request don't hash to the same slot")));
    assert_false(redis_is_passing(SLICE("MOVEDx")));
    assert_false(redis_is_passing(SLICE("")));
}

static void states_of_a_cluster(void **state)
{
    assert_true(redis_read_cluster_ok(SLICE("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n")));
    assert_true(redis_read_cluster_ok(SLICE("x:1\r\ncluster_state:ok")));
    assert_false(redis_read_cluster_ok(SLICE("cluster_state:fail\r\n")));
    assert_false(redis_read_cluster_ok(SLICE("x_cluster_state:ok\r\n")));
    assert_false(redis_read_cluster_ok(SLICE("")));
}

/* ---- SENTINEL MASTER ---- */

static int master(const char *resp, struct redis_master *out)
{
    redisReply *reply = reply_of(resp);
    int rc = redis_read_master(reply, out);
    freeReplyObject(reply);
    return rc;
}

static void masters(void **state)
{
    struct redis_master m;
    assert_int_equal(
        master("*8\r\n$4\r\nname\r\n$2\r\nmm\r\n$2\r\nip\r\n$9\r\n10.0.0.12\r\n$4\r\nport\r\n$4\r\n6380\r\n"
               "$12\r\nconfig-epoch\r\n$2\r\n17\r\n",
               &m),
        0);
    assert_string_equal(m.host, "10.0.0.12");
    assert_int_equal(m.port, 6380);
    assert_int_equal(m.epoch, 17);
    assert_false(m.failing_over);
    static const struct {
        const char *resp;
        bool failing_over;
    } flags[] = {{"$6\r\nmaster\r\n", false},
                 {"$30\r\nmaster,no_failover_in_progress\r\n", false},
                 {"$20\r\nfailover_in_progress\r\n", true},
                 {"$41\r\no_down,master,failover_in_progress,another\r\n", true}};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        char resp[200];
        snprintf(resp, sizeof(resp), "*6\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$1\r\n1\r\n$5\r\nflags\r\n%s",
                 flags[i].resp);
        assert_int_equal(master(resp, &m), 0);
        assert_int_equal(m.failing_over, flags[i].failing_over);
    }
    static const char *const bad[] = {"-ERR No such master with that name\r\n",
                                      "*0\r\n",
                                      "*-1\r\n",
                                      ":1\r\n",
                                      "*2\r\n$2\r\nip\r\n$1\r\nh\r\n",
                                      "*4\r\n$2\r\nip\r\n$0\r\n\r\n$4\r\nport\r\n$1\r\n1\r\n",
                                      "*4\r\n$2\r\nip\r\n$-1\r\n$4\r\nport\r\n$1\r\n1\r\n",
                                      "*4\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$5\r\n99999\r\n",
                                      "*3\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(master(bad[i], &m), -1);
}

/* ---- CLUSTER SLOTS ---- */

static struct redis_slots slots;
static const char *why;

static int read_slots(const char *resp)
{
    redisReply *reply = reply_of(resp);
    int rc = redis_read_slots(reply, "asked", &slots, &why);
    freeReplyObject(reply);
    return rc;
}

#define NODE(host, port) "*4\r\n" host ":" #port "\r\n$3\r\nidx\r\n*0\r\n"
#define HOST(n, text)    "$" #n "\r\n" text "\r\n"

static void owners_of_slots(void **state)
{
    assert_int_equal(read_slots("*3\r\n"
                                "*4\r\n:0\r\n:5460\r\n" NODE(HOST(1, "a"), 1)
                                    NODE(HOST(1, "r"), 9) "*3\r\n:5461\r\n:10922\r\n" NODE(
                                        HOST(1, "b"), 2) "*3\r\n:10923\r\n:16383\r\n" NODE(HOST(1, "a"), 1)),
                     0);
    assert_int_equal(slots.count, 2);
    assert_string_equal(slots.nodes[1].host, "b");
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        unsigned slot = target_slot(bucket);
        assert_int_equal(slots.owner[bucket], slot > 5460 && slot <= 10922);
    }
}

static void slots_of_nobody(void **state)
{
    assert_int_equal(read_slots("*1\r\n*3\r\n:24\r\n:24\r\n" NODE(HOST(1, "a"), 1)), 0);
    assert_int_equal(slots.owner[1], 0);
    assert_int_equal(slots.owner[0], REDIS_NO_NODE);
    assert_int_equal(slots.owner[2], REDIS_NO_NODE);
    assert_int_equal(read_slots("*0\r\n"), 0);
    assert_int_equal(slots.count, 0);
}

/* Ranges without any of our slots need no node, not even a whole one. */
static void slots_that_are_not_ours(void **state)
{
    assert_int_equal(read_slots("*1\r\n*3\r\n:9\r\n:23\r\n*0\r\n"), 0);
    assert_int_equal(slots.count, 0);
}

static void a_node_without_a_name_is_the_one_that_was_asked(void **state)
{
    assert_int_equal(
        read_slots("*2\r\n*3\r\n:0\r\n:8\r\n" NODE("$-1\r\n", 1) "*3\r\n:20\r\n:30\r\n" NODE("$0\r\n\r\n", 1)), 0);
    assert_int_equal(slots.count, 1);
    assert_string_equal(slots.nodes[0].host, "asked");
}

static void malformed_slots(void **state)
{
    static const char *const bad[] = {"-ERR This instance has cluster support disabled\r\n",
                                      "*1\r\n:1\r\n",
                                      "*1\r\n*2\r\n:0\r\n:9\r\n",
                                      "*1\r\n*3\r\n:0\r\n$1\r\n9\r\n*0\r\n",
                                      "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE(HOST(1, "a"), 1),
                                      "*1\r\n*3\r\n:-1\r\n:9\r\n" NODE(HOST(1, "a"), 1),
                                      "*1\r\n*3\r\n:9\r\n:8\r\n" NODE(HOST(1, "a"), 1),
                                      "*1\r\n*3\r\n:0\r\n:9\r\n*0\r\n",
                                      "*1\r\n*3\r\n:0\r\n:9\r\n:1\r\n",
                                      "*1\r\n*3\r\n:0\r\n:9\r\n" NODE(HOST(1, "a"), 0),
                                      "*1\r\n*3\r\n:0\r\n:9\r\n" NODE(HOST(1, "a"), 65536),
                                      "*1\r\n*3\r\n:0\r\n:9\r\n" NODE(HOST(3, "a b"), 1)};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        if (read_slots(bad[i]) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(why);
    }
}

static void too_many_masters(void **state)
{
    struct buf text = {0};
    buf_printf(&text, "*%d\r\n", REDIS_NODES_MAX + 1);
    for (int i = 0; i <= REDIS_NODES_MAX; i++)
        buf_printf(&text, "*3\r\n:%d\r\n:%d\r\n*2\r\n$1\r\nh\r\n:%d\r\n", 16 * i, 16 * i + 15, 1 + i);
    buf_byte(&text, '\0');
    assert_int_equal(read_slots(text.p), -1);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirections),
        cmocka_unit_test(no_redirections),
        cmocka_unit_test(errors_that_pass),
        cmocka_unit_test(states_of_a_cluster),
        cmocka_unit_test(masters),
        cmocka_unit_test(owners_of_slots),
        cmocka_unit_test(slots_of_nobody),
        cmocka_unit_test(slots_that_are_not_ours),
        cmocka_unit_test(a_node_without_a_name_is_the_one_that_was_asked),
        cmocka_unit_test(malformed_slots),
        cmocka_unit_test(too_many_masters),
    };
    return cmocka_run_group_tests_name("redis_reply", tests, NULL, NULL);
}
