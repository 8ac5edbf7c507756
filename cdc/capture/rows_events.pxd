# Types of rows_events.py, for the compiled form.
cimport cython
from cdc.capture.boundaries cimport Boundaries
from cdc.capture.bound_table cimport BoundTable
from cdc.capture.change_events cimport ChangeEvents
from cdc.capture.cursor cimport Cursor
from cdc.capture.tables cimport Tables
from cdc.capture.transaction cimport Transaction

@cython.final
cdef class RowsEvents:
    cdef Boundaries boundaries
    cdef ChangeEvents changes
    cdef Tables tables
    cdef Transaction transaction
    cdef Cursor cursor
    cdef object unpublishable
    cdef object dead_changes
    cdef object fault
    cdef long long first_row
    cdef dict held
    cdef Py_ssize_t row_at
    cdef Py_ssize_t row_end
    cdef Py_ssize_t value_at

    cdef int event(
        self, int operation, int version, const unsigned char *data, Py_ssize_t at,
        Py_ssize_t end) except? -1
    cdef int _images(
        self, int operation, BoundTable bound, const unsigned char *data, Py_ssize_t at,
        Py_ssize_t end, Py_ssize_t before_present, Py_ssize_t after_present) except? -1
    cdef Py_ssize_t _rows(
        self, int operation, BoundTable bound, const unsigned char *data, Py_ssize_t at,
        Py_ssize_t end, Py_ssize_t before_present, Py_ssize_t after_present) except? -1
    cdef Py_ssize_t _set_aside(
        self, object error, int operation, BoundTable bound, const unsigned char *data,
        Py_ssize_t end, Py_ssize_t before_present, Py_ssize_t after_present) except? -1
    cdef list _row_images(
        self, int operation, BoundTable bound, const unsigned char *data, Py_ssize_t end,
        Py_ssize_t before_present, Py_ssize_t after_present)
