# Types of statement_events.py, for the compiled form.
cimport cython
from cdc.capture.boundaries cimport Boundaries
from cdc.capture.change_events cimport ChangeEvents
from cdc.capture.cursor cimport Cursor
from cdc.capture.tables cimport Tables
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class StatementEvents:
    cdef object binder
    cdef Boundaries boundaries
    cdef ChangeEvents changes
    cdef Tables tables
    cdef Transaction transaction
    cdef Cursor cursor
    cdef object unpublishable
    cdef object keeper
    cdef int server_version

    cdef int query(
        self, bytes events, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
