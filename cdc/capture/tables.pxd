# Types of tables.py, for the compiled form.
cimport cython
from cdc.capture.block_writer cimport BlockWriter
from cdc.capture.bound_table cimport BoundTable
from cdc.capture.cursor cimport Cursor
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class Tables:
    cdef object binder
    cdef BlockWriter block
    cdef Transaction transaction
    cdef Cursor cursor
    cdef object flavor
    cdef long long waits_until
    cdef dict by_id
    cdef dict by_map
    cdef dict by_name
    cdef object substituted
    cdef long long column_count
    cdef bytes last_map
    cdef long long last_id
    cdef BoundTable last

    cdef int announced(
        self, bytes events, const unsigned char *data, Py_ssize_t at, Py_ssize_t end) except? -1
    cdef BoundTable of(self, long long table_id)
    cdef int forget_ids_if_many(self) except? -1
