# cython: language_level=3, boundscheck=False, wraparound=False
"""Hands a block of records to librdkafka without a Python object per record.

confluent-kafka brings librdkafka, whose C functions are found where it loaded them; its producer
keeps the client's handle as the first field behind the object's head. `handle_of` says None
wherever one of the two isn't as expected, and the writer goes by `Producer.produce` instead,
which does the same. `kafka_writer` is the only user; the tests of writers run both ways."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.stdint cimport int32_t, int64_t, uintptr_t

import confluent_kafka
from confluent_kafka import cimpl

from cdc.model import ID_HEADER, REVISION_HEADER
from cdc.records import ENTRY

cdef extern from "dlfcn.h" nogil:
    void *dlopen(const char *path, int mode)
    void *dlsym(void *library, const char *name)
    int RTLD_NOW

# From librdkafka's rdkafka.h: rd_kafka_vtype_t, rd_kafka_vu_t, flags, error codes.
cdef enum:
    VTYPE_RKT = 2
    VTYPE_PARTITION = 3
    VTYPE_VALUE = 4
    VTYPE_KEY = 5
    VTYPE_MSGFLAGS = 7
    VTYPE_HEADER = 9
    MSG_F_COPY = 2
    ERR_QUEUE_FULL = -184

cdef struct Memory:
    void *ptr
    size_t size

cdef struct Header:
    const char *name
    const void *val
    ssize_t size

cdef union Value:
    void *rkt
    int32_t i32
    Memory mem
    int i
    Header header
    char pad[64]

cdef struct Argument:
    int vtype
    Value u

ctypedef void *(*topic_new_t)(void *, const char *, void *) noexcept nogil
ctypedef void (*topic_destroy_t)(void *) noexcept nogil
ctypedef void *(*produceva_t)(void *, const Argument *, size_t) noexcept nogil
ctypedef int (*error_code_t)(const void *) noexcept nogil
ctypedef void (*error_destroy_t)(void *) noexcept nogil
ctypedef const char *(*name_t)(const void *) noexcept nogil

cdef topic_new_t topic_new = NULL
cdef topic_destroy_t topic_destroy = NULL
cdef produceva_t produceva = NULL
cdef error_code_t error_code = NULL
cdef error_destroy_t error_destroy = NULL

KNOWN_MAJOR = 2
"""Of confluent-kafka: its producer's layout is known to be as said above."""
cdef enum:
    FIELDS = 9  # of records.ENTRY, 8 bytes each
    ARGUMENTS_MAX = 7
assert ENTRY.size == FIELDS * 8

cdef bytes _revision_name = REVISION_HEADER.encode()
cdef bytes _id_name = ID_HEADER.encode()
cdef const char *_revision_name_p = _revision_name
cdef const char *_id_name_p = _id_name
QUEUE_FULL = ERR_QUEUE_FULL

cdef struct _Object:
    # The head that every Python object has, by its size; the handle stands behind it.
    ssize_t references
    void *kind
    void *handle


cdef bint _load() except -1:
    """Find librdkafka's functions; False where they can't be found."""
    global topic_new, topic_destroy, produceva, error_code, error_destroy
    cdef bytes path = cimpl.__file__.encode()
    cdef void *library = dlopen(path, RTLD_NOW)
    if library == NULL:
        return False
    topic_new = <topic_new_t>dlsym(library, "rd_kafka_topic_new")
    topic_destroy = <topic_destroy_t>dlsym(library, "rd_kafka_topic_destroy")
    produceva = <produceva_t>dlsym(library, "rd_kafka_produceva")
    error_code = <error_code_t>dlsym(library, "rd_kafka_error_code")
    error_destroy = <error_destroy_t>dlsym(library, "rd_kafka_error_destroy")
    return (
        topic_new != NULL and topic_destroy != NULL and produceva != NULL
        and error_code != NULL and error_destroy != NULL
    )


def is_possible() -> bool:
    """True where the client's library is as this module knows it."""
    return int(confluent_kafka.__version__.split(".")[0]) == KNOWN_MAJOR and _load()


cdef class Handover:
    """One producer's fast lane; close it before the producer."""

    cdef object producer
    cdef void *client
    cdef list topics
    cdef dict indexes

    def __init__(self, producer):
        assert is_possible()
        assert type(producer).__basicsize__ >= sizeof(_Object)
        self.producer = producer
        self.client = (<_Object *><void *>producer).handle
        self.indexes = {}

    def produce(self, block, partitions, Py_ssize_t begin):
        """Hand over the records of a block from `begin` on; where it stopped, and why.

        The number of the first record that was not taken (all: the block's length) and the
        error code (0: none; QUEUE_FULL: go on there when there is room)."""
        cdef bytearray data = block.data
        cdef const unsigned char[:] entries = block.entries
        cdef Py_ssize_t count = len(block)
        cdef bytearray topics = self._topics(block, partitions)
        cdef Py_ssize_t stopped = begin
        cdef int code = 0
        cdef int64_t *fields
        cdef int64_t *lanes = <int64_t *>PyByteArray_AS_STRING(topics)
        cdef char *base = PyByteArray_AS_STRING(data)
        if count == begin:
            return begin, 0
        while stopped < count and code == 0:
            fields = <int64_t *>&entries[0] + stopped * FIELDS
            if fields[8] >= 0:
                # With headers of its own, which are Python's: rare.
                code = self._one(block[stopped], fields, lanes)
                if code == 0:
                    stopped += 1
                continue
            with nogil:
                stopped = _run(
                    self.client, base, <int64_t *>&entries[0], stopped, count, lanes,
                    _revision_name_p, _id_name_p, &code
                )
        return stopped, code

    cdef int _one(self, record, int64_t *fields, int64_t *lanes) except? -1:
        try:
            self.producer.produce(
                record.topic, record.value, record.key, fields[1] % lanes[2 * fields[0] + 1],
                None, None, 0, list(record.headers),
            )
        except BufferError:
            return ERR_QUEUE_FULL
        return 0

    def _topics(self, block, partitions):
        """Handle and number of partitions of each topic of the block, two numbers each."""
        cdef bytearray lanes = bytearray(16 * max(len(block.topics), 1))
        cdef int64_t *numbers = <int64_t *>PyByteArray_AS_STRING(lanes)
        cdef const unsigned char[:] entries = block.entries
        cdef int64_t *fields = <int64_t *>&entries[0] if len(block) else NULL
        cdef Py_ssize_t i
        cdef int64_t topic
        for i in range(len(block)):
            topic = fields[i * FIELDS]
            if numbers[2 * topic] == 0:
                name = block.topics[topic]
                # First: librdkafka's handle would make the broker create a topic that isn't there.
                numbers[2 * topic + 1] = partitions[name]
                numbers[2 * topic] = self._topic(name)
        return lanes

    def _topic(self, name):
        cdef void *topic
        found = self.indexes.get(name)
        if found is None:
            topic = topic_new(self.client, name.encode(), NULL)
            if topic == NULL:
                raise MemoryError(f"librdkafka knows no topic {name}")
            found = self.indexes[name] = <uintptr_t>topic
        return found

    def close(self):
        """Give the topics back."""
        for topic in self.indexes.values():
            topic_destroy(<void *><uintptr_t>topic)
        self.indexes = {}


cdef Py_ssize_t _run(
    void *client, char *base, int64_t *entries, Py_ssize_t at, Py_ssize_t count, int64_t *lanes,
    const char *revision_name, const char *id_name, int *code
) noexcept nogil:
    """Hand over records up to the first with further headers, or that isn't taken."""
    cdef Argument arguments[ARGUMENTS_MAX]
    cdef int64_t *fields
    cdef void *error
    cdef size_t used
    arguments[0].vtype = VTYPE_RKT
    arguments[1].vtype = VTYPE_PARTITION
    arguments[2].vtype = VTYPE_MSGFLAGS
    arguments[2].u.i = MSG_F_COPY
    arguments[3].vtype = VTYPE_VALUE
    arguments[4].vtype = VTYPE_KEY
    arguments[5].vtype = VTYPE_HEADER
    arguments[5].u.header.name = revision_name
    arguments[5].u.header.size = 8
    arguments[6].vtype = VTYPE_HEADER
    arguments[6].u.header.name = id_name
    while at < count:
        fields = entries + at * FIELDS
        if fields[8] >= 0:
            break
        arguments[0].u.rkt = <void *><uintptr_t>lanes[2 * fields[0]]
        arguments[1].u.i32 = <int32_t>(fields[1] % lanes[2 * fields[0] + 1])
        arguments[3].u.mem.ptr = base + fields[4] if fields[5] >= 0 else NULL
        arguments[3].u.mem.size = fields[5] if fields[5] >= 0 else 0
        arguments[4].u.mem.ptr = base + fields[2] if fields[3] >= 0 else NULL
        arguments[4].u.mem.size = fields[3] if fields[3] >= 0 else 0
        used = 5
        if fields[6] >= 0:
            arguments[5].u.header.val = base + fields[6]
            arguments[6].u.header.val = base + fields[6] + 8
            arguments[6].u.header.size = fields[7]
            used = 7
        error = produceva(client, arguments, used)
        if error != NULL:
            code[0] = error_code(error)
            error_destroy(error)
            break
        at += 1
    return at
