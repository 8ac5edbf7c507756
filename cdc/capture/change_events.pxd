# Types of change_events.py, for the compiled form.
cimport cython
from cdc.capture.avro_out cimport Out
from cdc.capture.block_writer cimport BlockWriter
from cdc.capture.bound_table cimport BoundTable
from cdc.capture.context_headers cimport ContextHeaders
from cdc.capture.source_field cimport SourceField
from cdc.capture.transaction cimport Transaction
from cdc.capture.transaction_metadata cimport TransactionMetadata

@cython.final
cdef class ChangeEvents:
    cdef object dropped
    cdef BlockWriter block
    cdef Transaction transaction
    cdef SourceField source
    cdef TransactionMetadata metadata
    cdef ContextHeaders context
    cdef Out old_key
    cdef Out new_key
    cdef long long now_nanos
    cdef bytes now
    cdef bint tombstones
    cdef object skipped
    cdef bint skips_unchanged
    cdef bint reads_statements
    cdef bint is_muted
    cdef object keeper
    cdef long long epoch
    cdef long long sequence
    cdef BoundTable bound
    cdef Py_ssize_t topic
    cdef const unsigned char *images
    cdef Py_ssize_t images_end
    cdef Py_ssize_t before_present
    cdef Py_ssize_t after_present
    cdef long long row
    cdef Py_ssize_t images_bytes_max

    cdef int statement(self, str text) except? -1
    cdef int forget_statement(self) except? -1
    cdef int begin_event(
        self, BoundTable bound, long long micros, const unsigned char *data, Py_ssize_t end,
        Py_ssize_t before_present, Py_ssize_t after_present) except? -1
    cdef Py_ssize_t insert(self, Py_ssize_t at) except? -1
    cdef Py_ssize_t delete(self, Py_ssize_t at) except? -1
    cdef Py_ssize_t update(self, Py_ssize_t at) except? -1
    cdef int _change_key(self, Py_ssize_t value_at, Py_ssize_t before_end) except? -1
    cdef bint _is_unchanged(self, Py_ssize_t value_at, Py_ssize_t before_end) noexcept
    cdef int _key(self, Out key) except? -1
    cdef long long _put_key(self, Out out, Out key) except? -1
    cdef int _emit(
        self, Py_ssize_t value_at, int operation, Out key, Py_ssize_t further) except? -1
    cdef int _finish(self, Out out, int operation, bint is_counted) except? -1
    cdef int _keep(
        self, Py_ssize_t value_at, int operation, Out key, Py_ssize_t further) except? -1
    cdef int _tombstone(self, Out key) except? -1
    cdef int _revision(self, Out out) except? -1
    cdef int _check_size(self, Py_ssize_t size) except? -1
