# Types of context_headers.py, for the compiled form.
cimport cython
from cdc.capture.block_writer cimport BlockWriter

@cython.final
cdef class ContextHeaders:
    cdef BlockWriter block
    cdef Py_ssize_t index
    cdef str connector
    cdef str run_id
    cdef object keys
    cdef object of_connector
    cdef object of_statement
    cdef Py_ssize_t connector_index

    cdef int statement(self, str text) except? -1
    cdef int forget_statement(self) except? -1
    cdef int _show(self) except? -1
    cdef Py_ssize_t with_key(self, str name, bytes key) except? -1
