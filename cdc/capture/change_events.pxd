# Types of change_events.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out
from cdc.capture.bound_table cimport BoundTable
from cdc.capture.cursor cimport Cursor
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class ChangeEvents:
    cdef readonly object dropped
    cdef readonly list topics
    cdef dict topic_indexes
    cdef object binder
    cdef Transaction transaction
    cdef Cursor cursor
    cdef Out data
    cdef Out entries
    cdef list further
    cdef Out head
    cdef Out tail
    cdef Out old_key
    cdef Out new_key
    cdef bytes now
    cdef bint tombstones
    cdef object skipped
    cdef bint skips_unchanged
    cdef str run_id
    cdef object connector_headers
    cdef object statement_headers
    cdef bint with_query
    cdef object context_keys
    cdef bytes query
    cdef Py_ssize_t connector_index
    cdef Py_ssize_t context_index
    cdef bint with_transactions
    cdef bint is_muted
    cdef long long total_order
    cdef dict collections
    cdef public long long epoch
    cdef public long long sequence

    cdef int source(self, BoundTable bound, long long micros) except? -1
    cdef Py_ssize_t insert(
        self, BoundTable bound, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        Py_ssize_t present, long long row) except? -1
    cdef Py_ssize_t delete(
        self, BoundTable bound, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        Py_ssize_t present, long long row) except? -1
    cdef Py_ssize_t update(
        self, BoundTable bound, const unsigned char *data, Py_ssize_t at, Py_ssize_t end,
        Py_ssize_t before_present, Py_ssize_t after_present, long long row) except? -1
    cdef int _change_key(
        self, BoundTable bound, Py_ssize_t value_at, Py_ssize_t before_end, long long row) except? -1
    cdef bint _is_unchanged(self, Py_ssize_t value_at, Py_ssize_t before_end) noexcept
    cdef int _key(self, BoundTable bound, Out key) except? -1
    cdef int _emit(
        self, BoundTable bound, Py_ssize_t value_at, long long row, int operation, Out key,
        Py_ssize_t further) except? -1
    cdef int _finish(
        self, BoundTable bound, long long row, int operation, long long order) except? -1
    cdef int _tombstone(self, BoundTable bound, Out key) except? -1
    cdef int _revision(self) except? -1
    cdef int _entry(
        self, Py_ssize_t topic, long long place, Py_ssize_t key_at, Py_ssize_t key_size,
        Py_ssize_t value_at, Py_ssize_t value_size, Py_ssize_t revision_at, Py_ssize_t id_size,
        Py_ssize_t further) except? -1
    cdef Py_ssize_t _topic(self, BoundTable bound) except? -1
    cdef long long _count_order(self, BoundTable bound) except? -1
