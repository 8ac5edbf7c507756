# Types of boundaries.py, for the compiled form.
cimport cython
from cdc.capture.change_events cimport ChangeEvents
from cdc.capture.cursor cimport Cursor
from cdc.capture.tables cimport Tables
from cdc.capture.transaction cimport Transaction
from cdc.capture.transaction_metadata cimport TransactionMetadata

@cython.final
cdef class Boundaries:
    cdef ChangeEvents changes
    cdef TransactionMetadata metadata
    cdef Tables tables
    cdef Transaction transaction
    cdef Cursor cursor

    cdef int gtid(
        self, bytes events, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
    cdef int anonymous_gtid(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
    cdef int mariadb_gtid(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
    cdef int open_if_unnamed(self) except? -1
    cdef int begin(self, long long thread) except? -1
    cdef int enter(self) except? -1
    cdef int commit(self) except? -1
    cdef int commit_if_alone(self) except? -1
    cdef long long time_micros(self) noexcept
    cdef int _open_anonymous(self) except? -1
    cdef int _commit_times(
        self, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
    cdef int _refuse_nested(self) except? -1
    cdef int _opened(self) except? -1
