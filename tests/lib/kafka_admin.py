"""What kcat cannot do to a broker: topics of so many partitions, more partitions, topics that go. Through librdkafka's
own admin calls, by ctypes: the router needs that library anyway."""

import ctypes

from lib.proc import wait_until

SECONDS = 20
REASON = 512
pointer = ctypes.c_void_p


def load():
    """The library, with the types of what we call: all that is no number is a pointer."""
    library = ctypes.CDLL("librdkafka.so.1")
    for name in ("conf_new", "new", "queue_new", "queue_poll", "NewTopic_new", "DeleteTopic_new", "NewPartitions_new",
                 "event_CreateTopics_result", "CreateTopics_result_topics", "event_DeleteTopics_result",
                 "DeleteTopics_result_topics", "event_CreatePartitions_result", "CreatePartitions_result_topics",
                 "DeleteRecords_new", "topic_partition_list_new", "topic_partition_list_add"):
        getattr(library, f"rd_kafka_{name}").restype = pointer
    for name in ("err2str", "event_error_string", "topic_result_error_string"):
        getattr(library, f"rd_kafka_{name}").restype = ctypes.c_char_p
    return library


class Admin:
    """One connection to a cluster; every call returns once the brokers have done it, or raises RuntimeError."""

    def __init__(self, brokers):
        self.rd = load()
        reason = ctypes.create_string_buffer(REASON)
        conf = pointer(self.rd.rd_kafka_conf_new())
        self.rd.rd_kafka_conf_set(conf, b"bootstrap.servers", brokers.encode(), reason, ctypes.c_size_t(REASON))
        self.rk = pointer(self.rd.rd_kafka_new(0, conf, reason, ctypes.c_size_t(REASON)))
        if not self.rk:
            raise RuntimeError(reason.value.decode())
        self.queue = pointer(self.rd.rd_kafka_queue_new(self.rk))

    def close(self):
        self.rd.rd_kafka_queue_destroy(self.queue)
        self.rd.rd_kafka_destroy(self.rk)

    def create_topic(self, topic, partitions):
        reason = ctypes.create_string_buffer(REASON)
        wish = self.rd.rd_kafka_NewTopic_new(topic.encode(), partitions, 1, reason, ctypes.c_size_t(REASON))
        self.call("CreateTopics", "NewTopic", wish)

    def grow_topic(self, topic, partitions):
        """To that many in all."""
        reason = ctypes.create_string_buffer(REASON)
        wish = self.rd.rd_kafka_NewPartitions_new(topic.encode(), ctypes.c_size_t(partitions), reason,
                                                  ctypes.c_size_t(REASON))
        self.call("CreatePartitions", "NewPartitions", wish)

    def delete_topic(self, topic):
        self.call("DeleteTopics", "DeleteTopic", self.rd.rd_kafka_DeleteTopic_new(topic.encode()))

    def recreate_topic(self, topic, partitions, between=lambda: None):
        """Deletes it and, after `between`, makes it anew as soon as the name is free."""
        def made():
            try:
                self.create_topic(topic, partitions)
                return True
            except RuntimeError as error:
                if "already exists" not in str(error) and "marked for deletion" not in str(error):
                    raise
                return False
        self.delete_topic(topic)
        between()
        wait_until(made, SECONDS, f"topic {topic} made anew", every=0.01)

    def delete_records(self, topic, below):
        """Partition → offset: what lies below is gone, as if it had become too old."""
        rows = pointer(self.rd.rd_kafka_topic_partition_list_new(len(below)))
        for partition, offset in below.items():
            self.rd.rd_kafka_topic_partition_list_add(rows, topic.encode(), partition)
            self.rd.rd_kafka_topic_partition_list_set_offset(rows, topic.encode(), partition, ctypes.c_int64(offset))
        wish = self.rd.rd_kafka_DeleteRecords_new(rows)
        self.rd.rd_kafka_topic_partition_list_destroy(rows)
        self.call("DeleteRecords", "DeleteRecords", wish, judge=False)

    def call(self, what, kind, wish, judge=True):
        """Makes one request with one wish, and judges the answer."""
        wishes = (pointer * 1)(wish)
        getattr(self.rd, f"rd_kafka_{what}")(self.rk, wishes, ctypes.c_size_t(1), None, self.queue)
        getattr(self.rd, f"rd_kafka_{kind}_destroy")(pointer(wish))
        event = pointer(self.rd.rd_kafka_queue_poll(self.queue, SECONDS * 1000))
        if not event:
            raise RuntimeError(f"{what}: no answer")
        try:
            if self.rd.rd_kafka_event_error(event):
                raise RuntimeError(f"{what}: {self.rd.rd_kafka_event_error_string(event).decode()}")
            if judge:
                self.judge(what, event)
        finally:
            self.rd.rd_kafka_event_destroy(event)

    def judge(self, what, event):
        count = ctypes.c_size_t()
        result = pointer(getattr(self.rd, f"rd_kafka_event_{what}_result")(event))
        rows = ctypes.cast(getattr(self.rd, f"rd_kafka_{what}_result_topics")(result, ctypes.byref(count)),
                           ctypes.POINTER(pointer))
        for i in range(count.value):
            error = self.rd.rd_kafka_topic_result_error(pointer(rows[i]))
            if error:
                raise RuntimeError(f"{what}: {self.rd.rd_kafka_err2str(error).decode()}")
