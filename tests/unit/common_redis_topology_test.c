/* Finding the nodes, with links that are stand-ins: what the topology asks is seen, and the test answers. */
#include "common/log.h"
#include "common/redis_topology_finder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- links ---- */

struct question {
    char text[200];
    redis_reply_cb cb;
    void *arg;
};

static struct question questions[64];
static size_t asked, answered;

void redis_commands_init(struct redis_commands *rc, struct loop *l, const struct endpoint *endpoint, void *owner,
                         void (*up)(struct redis_commands *), void (*down)(struct redis_commands *, const char *))
{
    *rc = (struct redis_commands){.owner = owner, .on_up = up, .on_down = down, .link = {.loop = l}};
    endpoint_copy(&rc->link.endpoint, endpoint);
    rc->link.label = endpoint_label(endpoint);
}

void redis_commands_release(struct redis_commands *rc)
{
    endpoint_release(&rc->link.endpoint);
    free(rc->link.label);
}

void redis_link_redirect(struct redis_link *link, const struct endpoint *endpoint)
{
    endpoint_release(&link->endpoint);
    free(link->label);
    endpoint_copy(&link->endpoint, endpoint);
    link->label = endpoint_label(endpoint);
    link->state = REDIS_LINK_DOWN;
}

int redis_commands_send(struct redis_commands *rc, const struct slice *argv, size_t argc, redis_reply_cb cb, void *arg)
{
    struct question *q = &questions[asked++ % ARRAY_LEN(questions)];
    size_t n = (size_t)snprintf(q->text, sizeof(q->text), "%s:", rc->link.label);
    assert_true(redis_commands_is_up(rc));
    for (size_t i = 0; i < argc; i++)
        n += (size_t)snprintf(q->text + n, sizeof(q->text) - n, " %.*s", SLICE_ARG(argv[i]));
    q->cb = cb;
    q->arg = arg;
    return 0;
}

/* ---- the world ---- */

static struct loop loop;
static struct redis_site site;
static struct redis_topology t;
static unsigned changes;

static void on_change(struct redis_topology *topology)
{
    changes++;
}

static void open_topology(const char *url)
{
    char *why = NULL;
    if (redis_site_init(&site, &(struct redis_options){.url = url}, &why) != 0)
        fail_msg("%s", why);
    loop = (struct loop){.now_ms = 100000};
    list_init(&loop.timers);
    asked = answered = changes = 0;
    redis_topology_init(&t, &loop, &site, NULL, on_change);
}

static void close_topology(void)
{
    redis_topology_release(&t);
    redis_site_release(&site);
}

static void come_up(size_t i)
{
    t.askers[i].rc.link.state = REDIS_LINK_UP;
    t.askers[i].rc.on_up(&t.askers[i].rc);
}

static void go_down(size_t i)
{
    t.askers[i].rc.link.state = REDIS_LINK_DOWN;
    t.askers[i].rc.on_down(&t.askers[i].rc, "test");
}

static void pass(uint64_t ms)
{
    for (uint64_t end = loop.now_ms + ms; loop.now_ms < end;) {
        loop.now_ms += 10;
        if (!timer_is_armed(&t.timer) || t.timer.due_ms > loop.now_ms)
            continue;
        timer_stop(&t.timer);
        t.timer.on_fire(&t.timer);
    }
}

static void answer_next(const char *resp)
{
    assert_true(answered < asked);
    struct question *q = &questions[answered++ % ARRAY_LEN(questions)];
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    redisReaderFeed(reader, resp, strlen(resp));
    redisReaderGetReply(reader, &reply);
    assert_non_null(reply);
    q->cb(q->arg, reply);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static const char *place(size_t i)
{
    static char text[300];
    const struct endpoint *e = redis_topology_endpoint(&t, i);
    if (e == NULL)
        return "nobody";
    snprintf(text, sizeof(text), "%s:%u", e->host, e->port);
    return text;
}

/* ---- one ---- */

static void one_server_is_known_at_once(void **state)
{
    open_topology("redis://h:7/2");
    assert_true(t.known);
    assert_string_equal(place(0), "h:7");
    assert_int_equal(t.places[0].endpoint.db, 2);
    redis_topology_doubt(&t);
    redis_topology_refused(&t, SLICE("MOVED 1 other:1"));
    pass(60000);
    assert_int_equal(asked + changes, 0);
    close_topology();
}

/* ---- Sentinels ---- */

static void sentinel_says(const char *host, unsigned port, unsigned epoch, const char *flags)
{
    char text[300];
    char port_text[8], epoch_text[8];
    snprintf(port_text, sizeof(port_text), "%u", port);
    snprintf(epoch_text, sizeof(epoch_text), "%u", epoch);
    snprintf(text, sizeof(text),
             "*8\r\n$2\r\nip\r\n$%zu\r\n%s\r\n$4\r\nport\r\n$%zu\r\n%s\r\n$5\r\nflags\r\n$%zu\r\n%s\r\n"
             "$12\r\nconfig-epoch\r\n$%zu\r\n%s\r\n",
             strlen(host), host, strlen(port_text), port_text, strlen(flags), flags, strlen(epoch_text), epoch_text);
    answer_next(text);
}

static void master_is(const char *host, unsigned port, unsigned epoch)
{
    sentinel_says(host, port, epoch, "master");
}

static void the_newest_answer_of_sentinels_holds(void **state)
{
    open_topology("redis+sentinel://u:p@s1,s2:2,s3/mm");
    assert_false(t.known);
    assert_string_equal(place(0), "nobody");
    come_up(0);
    assert_string_equal(questions[0].text, "s1:26379: SENTINEL MASTER mm");
    master_is("10.0.0.1", 6379, 3);
    assert_true(t.known);
    assert_int_equal(changes, 1);
    assert_string_equal(place(0), "10.0.0.1:6379");
    assert_string_equal(t.places[0].endpoint.user, "u");
    assert_null(t.askers[0].rc.link.endpoint.user);

    come_up(1); /* asks both */
    master_is("10.0.0.1", 6379, 3);
    master_is("10.0.0.2", 6380, 4);
    assert_string_equal(place(0), "10.0.0.2:6380");
    uint64_t version = t.places[0].version;
    redis_topology_doubt(&t);
    master_is("10.0.0.1", 6379, 3); /* one that was cut off */
    master_is("10.0.0.2", 6380, 4);
    assert_string_equal(place(0), "10.0.0.2:6380");
    assert_int_equal(t.places[0].version, version);
    close_topology();
}

static void who_leads_a_failover_names_the_old_master_under_the_new_epoch(void **state)
{
    open_topology("redis+sentinel://s1,s2/mm");
    come_up(0);
    master_is("old", 1, 3);
    come_up(1);
    sentinel_says("old", 1, 4, "o_down,master,failover_in_progress");
    assert_string_equal(place(0), "old:1");
    master_is("new", 1, 4);
    assert_string_equal(place(0), "new:1");
    uint64_t version = t.places[0].version;
    redis_topology_doubt(&t);
    sentinel_says("old", 1, 4, "o_down,master,failover_in_progress");
    master_is("new", 1, 4);
    assert_int_equal(t.places[0].version, version);
    close_topology();
}

static void a_sentinel_that_is_away_has_no_voice(void **state)
{
    open_topology("redis+sentinel://s1,s2/mm");
    come_up(0);
    master_is("old", 1, 9);
    go_down(0); /* and is made anew, epochs and all */
    assert_string_equal(place(0), "old:1");
    come_up(1);
    master_is("new", 1, 1);
    assert_string_equal(place(0), "new:1");
    answered = asked;
    come_up(0);
    answer_next("-ERR No such master with that name\r\n");
    assert_string_equal(place(0), "new:1");
    close_topology();
}

static void doubt_asks_often_and_calm_seldom(void **state)
{
    open_topology("redis+sentinel://s1/mm");
    come_up(0);
    master_is("m", 1, 1);
    pass(1000); /* it was not known a moment ago */
    size_t before = asked;
    pass(60000);
    assert_in_range(asked - before, 30, 60);
    before = asked;
    redis_topology_doubt(&t);
    assert_int_equal(asked - before, 1);
    for (int i = 0; i < 100; i++)
        redis_topology_doubt(&t);
    assert_int_equal(asked - before, 1);
    pass(5000);
    assert_in_range(asked - before, 18, 24);
    pass(6000);
    before = asked;
    pass(60000);
    assert_in_range(asked - before, 30, 61);
    close_topology();
}

/* ---- cluster ---- */

struct span {
    unsigned first, last, port;
};

static void cluster_is(const char *word)
{
    char resp[100], info[60];
    snprintf(info, sizeof(info), "cluster_enabled:1\r\ncluster_state:%s\r\n", word);
    snprintf(resp, sizeof(resp), "$%zu\r\n%s\r\n", strlen(info), info);
    answer_next(resp);
}

static void slots_are(const struct span *spans, size_t n)
{
    struct buf text = {0};
    cluster_is("ok");
    buf_printf(&text, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++)
        buf_printf(&text, "*3\r\n:%u\r\n:%u\r\n*2\r\n$4\r\nnode\r\n:%u\r\n", spans[i].first, spans[i].last,
                   spans[i].port);
    buf_byte(&text, '\0');
    answer_next(text.p);
    buf_release(&text);
}

static const struct span halves[] = {{0, 8191, 1}, {8192, 16383, 2}};

static void open_cluster(void)
{
    open_topology("redis+cluster://seed");
    come_up(0);
    assert_string_equal(questions[0].text, "seed:6379: CLUSTER INFO");
    assert_string_equal(questions[1].text, "seed:6379: CLUSTER SLOTS");
    slots_are(halves, 2);
}

static void a_cluster_is_known_when_it_is_whole(void **state)
{
    open_topology("redis+cluster://seed");
    come_up(0);
    slots_are(halves, 1);
    assert_false(t.known);
    assert_int_equal(changes, 0);
    pass(300);
    slots_are(halves, 2);
    assert_true(t.known);
    assert_int_equal(changes, 1);
    assert_int_equal(t.count, 2);
    assert_string_equal(place(t.home[0]), "node:1");
    assert_string_equal(place(t.home[511]), "node:1");
    assert_string_equal(place(t.home[512]), "node:2");
    assert_int_equal(redis_topology_first(&t, t.home[512]), 512);
    pass(300);
    slots_are(halves, 2);
    assert_int_equal(changes, 1);
    close_topology();
}

static void a_replica_that_takes_over_stands_where_its_master_stood(void **state)
{
    open_cluster();
    uint16_t first = t.home[0], second = t.home[1023];
    uint64_t version = t.places[second].version;
    redis_topology_doubt(&t);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 8191, 9}, {8192, 16383, 2}}, 2);
    assert_string_equal(place(first), "node:9");
    assert_int_equal(t.home[0], first);
    assert_string_equal(place(second), "node:2");
    assert_int_equal(t.places[second].version, version);
    assert_int_equal(t.count, 2);
    assert_int_equal(changes, 2);
    close_topology();
}

static void buckets_move_and_nodes_come_and_go(void **state)
{
    open_cluster();
    uint16_t first = t.home[0];
    redis_topology_doubt(&t);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 99, 3}, {100, 8191, 1}, {8192, 16383, 2}}, 3);
    assert_int_equal(t.count, 3);
    assert_string_equal(place(t.home[5]), "node:3");
    assert_string_equal(place(t.home[6]), "node:1");
    pass(300);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 8191, 3}, {8192, 16383, 2}}, 2);
    assert_string_equal(place(first), "nobody");
    pass(300);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 8191, 3}, {8192, 9000, 4}, {9001, 16383, 2}}, 3);
    assert_string_equal(place(first), "node:4"); /* an empty place is taken first */
    assert_int_equal(t.count, 3);
    pass(300);
    answered = asked - 2;
    unsigned before = changes;
    slots_are((const struct span[]){{0, 8191, 3}}, 1); /* slots of nobody stay where they were */
    assert_string_equal(place(t.home[1023]), "node:2");
    assert_int_equal(changes, before);
    close_topology();
}

static void who_is_named_by_moved_is_asked(void **state)
{
    open_cluster();
    redis_topology_refused(&t, SLICE("MOVED 8 node:2"));
    assert_string_equal(t.askers[0].rc.link.label, "node:2");
    come_up(0);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 16383, 2}}, 1);
    assert_string_equal(place(t.home[0]), "node:2");
    redis_topology_refused(&t, SLICE("MOVED 8 node:2"));
    assert_int_equal(t.askers[0].rc.link.state, REDIS_LINK_UP);
    redis_topology_refused(&t, SLICE("CLUSTERDOWN The cluster is down"));
    assert_int_equal(t.askers[0].rc.link.state, REDIS_LINK_UP);
    close_topology();
}

/* It may be the one that was cut off: what it believes is not the others' opinion. */
static void a_node_that_sees_no_cluster_is_not_believed(void **state)
{
    open_cluster();
    redis_topology_doubt(&t);
    answered = asked - 2;
    unsigned before = changes;
    cluster_is("fail");
    answer_next("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$3\r\nold\r\n:9\r\n");
    assert_int_equal(changes, before);
    char label[40];
    snprintf(label, sizeof(label), "%s", t.askers[0].rc.link.label);
    pass(300);
    assert_string_not_equal(t.askers[0].rc.link.label, label);
    come_up(0);
    answered = asked - 2;
    slots_are((const struct span[]){{0, 16383, 2}}, 1);
    assert_string_equal(place(t.home[0]), "node:2");
    close_topology();
}

static void another_node_is_asked_when_one_is_away(void **state)
{
    bool seen[3] = {false};
    open_cluster();
    go_down(0);
    for (int i = 0; i < 20; i++) {
        pass(700);
        seen[0] |= strcmp(t.askers[0].rc.link.label, "node:1") == 0;
        seen[1] |= strcmp(t.askers[0].rc.link.label, "node:2") == 0;
        seen[2] |= strcmp(t.askers[0].rc.link.label, "seed:6379") == 0;
        redis_topology_doubt(&t);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    close_topology();
}

static void nothing_is_asked_after_the_end(void **state)
{
    open_cluster();
    redis_topology_release(&t);
    size_t before = asked;
    redis_topology_doubt(&t);
    redis_topology_refused(&t, SLICE("MOVED 8 node:9"));
    assert_int_equal(asked, before);
    assert_true(list_empty(&loop.timers));
    redis_site_release(&site);
}

/* ---- several ---- */

static const char *stamp_of(size_t i)
{
    static char text[200];
    const char *found = strstr(questions[i % ARRAY_LEN(questions)].text, "tg:nodes ") + strlen("tg:nodes ");
    snprintf(text, sizeof(text), "%.*s", (int)(strstr(found, " NX GET") - found), found);
    return text;
}

static void answer_text(const char *text)
{
    char resp[300];
    snprintf(resp, sizeof(resp), "$%zu\r\n%s\r\n", strlen(text), text);
    answer_next(resp);
}

static void nodes_are_used_when_their_stamp_was_seen(void **state)
{
    open_topology("redis://u:secret@a,b:7/3");
    assert_int_equal(t.count, 2);
    come_up(0);
    assert_null(strstr(questions[0].text, "secret"));
    assert_non_null(strstr(questions[0].text, " 0 a:6379,b:7/3 NX GET"));
    answer_next("$-1\r\n"); /* there was none */
    assert_string_equal(place(0), "a:6379");
    assert_string_equal(place(1), "nobody");
    assert_false(t.known);
    come_up(1);
    answered = asked - 1;
    answer_text(stamp_of(asked - 1)); /* somebody with the same list was here */
    assert_string_equal(place(1), "b:7");
    assert_true(t.known);
    close_topology();
}

static void a_node_with_another_list_is_not_used(void **state)
{
    char stamp[200];
    open_topology("redis://a,b");
    come_up(0);
    come_up(1);
    answered = asked - 2;
    snprintf(stamp, sizeof(stamp), "%s", stamp_of(asked - 2));
    answer_text("0123456789abcdef 0 a:6379,b:6379,c:6379");
    assert_string_equal(place(0), "nobody");
    answer_text(stamp); /* this is the first node under another name */
    assert_string_equal(place(1), "nobody");
    assert_false(t.known);
    pass(300);
    answered = asked - 2;
    answer_next("$-1\r\n"); /* the keys were deleted */
    answer_next("$-1\r\n");
    assert_true(t.known);
    unsigned before = changes;
    redis_topology_doubt(&t);
    answered = asked - 2;
    answer_text("0123456789abcdef 0 a:6379,b:6379,c:6379");
    assert_string_equal(place(0), "nobody");
    assert_int_equal(changes, before + 1);
    close_topology();
}

/* Known values: every process of every version must agree on them. */
static void buckets_of_several_nodes(void **state)
{
    unsigned buckets[3] = {0}, stayed = 0;
    struct redis_site two = {.count = 2}, three = {.count = 3};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        unsigned node = redis_site_node(&three, bucket);
        buckets[node]++;
        stayed += node == redis_site_node(&two, bucket);
        assert_true(node == redis_site_node(&two, bucket) || node == 2);
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(buckets[i], 280, 400);
    assert_int_equal(stayed, buckets[0] + buckets[1]);
    static const unsigned known[] = {0, 0, 0, 2, 1, 1, 2, 0, 0, 2, 2, 2, 1, 0, 0, 0};
    for (unsigned bucket = 0; bucket < ARRAY_LEN(known); bucket++)
        assert_int_equal(redis_site_node(&three, bucket), known[bucket]);
}

/* ---- options ---- */

static void sentinels_have_users_of_their_own(void **state)
{
    char *why = NULL;
    const struct redis_options o = {
        .url = "redis+sentinel://u:p@s1,s2/m/4", .sentinel_user = "su", .sentinel_password = "sp"};
    assert_int_equal(redis_site_init(&site, &o, &why), 0);
    assert_string_equal(site.hosts[1].user, "su");
    assert_string_equal(site.hosts[1].password, "sp");
    assert_int_equal(site.hosts[1].db, 0);
    assert_string_equal(site.data.password, "p");
    assert_int_equal(site.data.db, 4);
    assert_string_equal(site.list, "s1:26379,s2:26379/4");
    redis_site_release(&site);
}

static void options_that_contradict_each_other(void **state)
{
    const struct redis_options bad[] = {{.url = "http://h"},
                                        {.url = "redis://h", .tls = {.ca = "/etc/ssl/ca.pem"}},
                                        {.url = "rediss://h", .tls = {.ca = "/nowhere"}},
                                        {.url = "redis://h", .sentinel_password = "x"},
                                        {.url = "redis+sentinel://h/m", .sentinel_user = "x"},
                                        {.url = "redis://user:@h"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *why = NULL;
        if (redis_site_init(&site, &bad[i], &why) == 0)
            fail_msg("accepted: %s", bad[i].url);
        assert_non_null(strstr(why, "REDIS_"));
        free(why);
    }
}

int main(void)
{
    log_set_threshold(LOG_ERROR + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_is_known_at_once),
        cmocka_unit_test(the_newest_answer_of_sentinels_holds),
        cmocka_unit_test(who_leads_a_failover_names_the_old_master_under_the_new_epoch),
        cmocka_unit_test(a_sentinel_that_is_away_has_no_voice),
        cmocka_unit_test(doubt_asks_often_and_calm_seldom),
        cmocka_unit_test(a_cluster_is_known_when_it_is_whole),
        cmocka_unit_test(a_replica_that_takes_over_stands_where_its_master_stood),
        cmocka_unit_test(buckets_move_and_nodes_come_and_go),
        cmocka_unit_test(who_is_named_by_moved_is_asked),
        cmocka_unit_test(a_node_that_sees_no_cluster_is_not_believed),
        cmocka_unit_test(another_node_is_asked_when_one_is_away),
        cmocka_unit_test(nothing_is_asked_after_the_end),
        cmocka_unit_test(nodes_are_used_when_their_stamp_was_seen),
        cmocka_unit_test(a_node_with_another_list_is_not_used),
        cmocka_unit_test(buckets_of_several_nodes),
        cmocka_unit_test(sentinels_have_users_of_their_own),
        cmocka_unit_test(options_that_contradict_each_other),
    };
    return cmocka_run_group_tests_name("redis_topology", tests, NULL, NULL);
}
