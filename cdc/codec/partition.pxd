# Types of partition.py, for the compiled form.
cdef unsigned long long hash_of(
    const unsigned char *data, Py_ssize_t at, Py_ssize_t length) noexcept
