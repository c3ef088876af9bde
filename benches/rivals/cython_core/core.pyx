# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The first layers in Cython, typed throughout: C structs where there is no Python object to hold."""

cimport cython
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef inline double now() noexcept nogil:
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return at.tv_sec + at.tv_nsec * 1e-9


@cython.final
cdef class Exact:
    """Full paths over a dict."""

    cdef dict table

    def __init__(self, table):
        self.table = dict(table)

    def lookup(self, str path not None):
        cdef PyObject* found = PyDict_GetItem(self.table, path)
        return <object>found if found is not NULL else None

    def lookup_many(self, list paths not None):
        cdef PyObject* found
        cdef list out = []
        for path in paths:
            found = PyDict_GetItem(self.table, path)
            out.append(<object>found if found is not NULL else None)
        return out


cdef struct Child:
    char* text
    Py_ssize_t size
    int node

cdef struct Node:
    Child* children     # sorted by size, then by bytes
    int count
    int wild            # the node behind `{param}`, or -1
    int rest            # the handlers of a `{rest...}` tail, or -1
    int handlers        # or -1

cdef enum:
    MAX_PARAMS = 16


cdef dict blank():
    return {"literals": {}, "wild": -1, "rest": -1, "handlers": -1}


@cython.final
cdef class Tree:
    """Segments compared in place in the path's own bytes; literal before param before tail, with a way back."""

    cdef Node* nodes
    cdef int size
    cdef list handlers      # of dicts: method -> (target, names)
    cdef list building      # of dicts, until frozen

    def __init__(self, routes):
        """`routes`: (template, method or None, target) each."""
        self.handlers = []
        self.building = [blank()]
        for template, method, target in routes:
            self._insert(template, method, target)
        self._freeze()
        self.building = None

    def __dealloc__(self):
        cdef int i, j
        if self.nodes is not NULL:
            for i in range(self.size):
                for j in range(self.nodes[i].count):
                    free(self.nodes[i].children[j].text)
                free(self.nodes[i].children)
            free(self.nodes)

    cdef _insert(self, str template, method, target):
        cdef list names = []
        cdef int at = 0
        cdef str end = "handlers"
        for segment in template[1:].split("/"):
            node = self.building[at]
            if segment.startswith("{") and segment.endswith("...}"):
                names.append(segment[1:].removesuffix("...}"))
                end = "rest"
                break
            if segment.startswith("{"):
                names.append(segment[1:].removesuffix("}"))
                if node["wild"] < 0:
                    node["wild"] = len(self.building)
                    self.building.append(blank())
                at = node["wild"]
            else:
                key = segment.encode()
                if key not in node["literals"]:
                    node["literals"][key] = len(self.building)
                    self.building.append(blank())
                at = node["literals"][key]
        node = self.building[at]
        if node[end] < 0:
            node[end] = len(self.handlers)
            self.handlers.append({})
        self.handlers[node[end]][method] = (target, tuple(names))

    cdef _freeze(self):
        cdef int i, j
        cdef Child* child
        cdef bytes text
        self.size = len(self.building)
        self.nodes = <Node*>calloc(self.size, sizeof(Node))
        if self.nodes is NULL:
            raise MemoryError()
        for i, node in enumerate(self.building):
            literals = sorted(node["literals"].items(), key=lambda item: (len(item[0]), item[0]))
            self.nodes[i].wild = node["wild"]
            self.nodes[i].rest = node["rest"]
            self.nodes[i].handlers = node["handlers"]
            self.nodes[i].children = <Child*>calloc(max(len(literals), 1), sizeof(Child))
            if self.nodes[i].children is NULL:
                raise MemoryError()
            for j, (text, target) in enumerate(literals):
                child = &self.nodes[i].children[j]
                child.text = <char*>malloc(max(len(text), 1))
                if child.text is NULL:
                    raise MemoryError()
                memcpy(child.text, <char*>text, len(text))
                child.size = len(text)
                child.node = target
                self.nodes[i].count = j + 1

    cdef int _child(self, Node* node, const char* text, Py_ssize_t size) noexcept nogil:
        cdef int low = 0, high = node.count, middle, order
        cdef Child* child
        while low < high:
            middle = (low + high) >> 1
            child = &node.children[middle]
            if child.size != size:
                order = -1 if child.size < size else 1
            else:
                order = memcmp(child.text, text, size)
            if order == 0:
                return child.node
            if order < 0:
                low = middle + 1
            else:
                high = middle
        return -1

    cdef int _walk(
        self, int at, const char* text, const char* end, int depth, const char** starts, Py_ssize_t* sizes
    ) noexcept nogil:
        """The handlers found, or -1; where the params lie goes to `starts` and `sizes`."""
        cdef Node* node = &self.nodes[at]
        cdef const char* stop = <const char*>memchr(text, c"/", end - text)
        cdef Py_ssize_t size = (stop if stop is not NULL else end) - text
        cdef int next_ = self._child(node, text, size)
        cdef int found
        if next_ >= 0:
            if stop is not NULL:
                found = self._walk(next_, stop + 1, end, depth, starts, sizes)
                if found >= 0:
                    return found
            elif self.nodes[next_].handlers >= 0:
                return self.nodes[next_].handlers
        if node.wild >= 0 and size > 0 and depth < MAX_PARAMS:
            starts[depth] = text
            sizes[depth] = size
            if stop is not NULL:
                found = self._walk(node.wild, stop + 1, end, depth + 1, starts, sizes)
                if found >= 0:
                    return found
            elif self.nodes[node.wild].handlers >= 0:
                return self.nodes[node.wild].handlers
        if node.rest >= 0 and end > text and depth < MAX_PARAMS:
            starts[depth] = text
            sizes[depth] = end - text
            return node.rest
        return -1

    cdef PyObject* entry(self, str path, method, const char** starts, Py_ssize_t* sizes) except? NULL:
        """Borrowed: (target, names) of the route, or NULL."""
        cdef Py_ssize_t length
        cdef const char* text = PyUnicode_AsUTF8AndSize(path, &length)
        cdef int found
        if length == 0 or text[0] != c"/":
            return NULL
        found = self._walk(0, text + 1, text + length, 0, starts, sizes)
        return PyDict_GetItem(<dict>self.handlers[found], method) if found >= 0 else NULL

    cdef tuple find(self, str path, method):
        cdef const char* starts[MAX_PARAMS]
        cdef Py_ssize_t sizes[MAX_PARAMS]
        cdef PyObject* entry = self.entry(path, method, starts, sizes)
        cdef tuple names
        cdef dict params
        cdef int i
        if entry is NULL:
            return None
        names = <tuple>(<tuple>entry)[1]
        params = {}
        for i in range(len(names)):
            PyDict_SetItem(params, <object>names[i], PyUnicode_DecodeUTF8(starts[i], sizes[i], NULL))
        return ((<tuple>entry)[0], params)

    def match(self, str path not None, method=None):
        """(target, params), or None."""
        return self.find(path, method)

    def lookup(self, str path not None, method=None):
        """The target alone."""
        cdef const char* starts[MAX_PARAMS]
        cdef Py_ssize_t sizes[MAX_PARAMS]
        cdef PyObject* entry = self.entry(path, method, starts, sizes)
        return (<tuple>entry)[0] if entry is not NULL else None


@cython.final
cdef class Patterns:
    """The first of many patterns, tried one after another: Cython has no pattern engine of its own."""

    cdef list searches

    def __init__(self, patterns):
        self.searches = [pattern.search for pattern in patterns]

    cpdef first(self, str text):
        cdef Py_ssize_t i
        for i in range(len(self.searches)):
            if self.searches[i](text) is not None:
                return i
        return None


@cython.final
@cython.freelist(64)
cdef class Entry:
    cdef Entry before, after
    cdef object key, value
    cdef double expires


@cython.final
cdef class Lru:
    """LRU with one time to live: a dict of entries that are linked in a ring around a sentinel."""

    cdef dict table
    cdef Entry ring
    cdef Py_ssize_t limit
    cdef double ttl

    def __init__(self, Py_ssize_t limit, double ttl=0.0):
        self.table = {}
        self.ring = Entry.__new__(Entry)
        self.ring.before = self.ring.after = self.ring
        self.limit = limit
        self.ttl = ttl

    cdef inline void _unlink(self, Entry entry):
        entry.before.after = entry.after
        entry.after.before = entry.before

    cdef inline void _newest(self, Entry entry):
        entry.before = self.ring
        entry.after = self.ring.after
        self.ring.after.before = entry
        self.ring.after = entry

    cpdef object get(self, key):
        cdef PyObject* found = PyDict_GetItem(self.table, key)
        cdef Entry entry
        if found is NULL:
            return None
        entry = <Entry>found
        if self.ttl > 0.0 and entry.expires <= now():
            return None
        if self.ring.after is not entry:
            self._unlink(entry)
            self._newest(entry)
        return entry.value

    def put(self, key, value):
        cdef PyObject* found = PyDict_GetItem(self.table, key)
        cdef Entry entry
        if found is not NULL:
            entry = <Entry>found
            self._unlink(entry)
        else:
            if len(self.table) >= self.limit:
                entry = self.ring.before
                self._unlink(entry)
                del self.table[entry.key]
            entry = Entry.__new__(Entry)
            entry.key = key
            self.table[key] = entry
        entry.value = value
        entry.expires = now() + self.ttl if self.ttl > 0.0 else 0.0
        self._newest(entry)


@cython.final
cdef class Bucket:
    cdef double at


@cython.final
cdef class Buckets:
    """GCRA: per client the time at which its bucket will be full."""

    cdef dict clients
    cdef double step
    cdef double span

    def __init__(self, double rate, double burst):
        self.clients = {}
        self.step = 1.0 / rate
        self.span = burst / rate

    cpdef double admit(self, str client):
        """0.0, or the seconds to wait."""
        cdef double time = now()
        cdef PyObject* found = PyDict_GetItem(self.clients, client)
        cdef Bucket bucket
        cdef double start, wait
        if found is NULL:
            bucket = Bucket.__new__(Bucket)
            self.clients[client] = bucket
            start = time
        else:
            bucket = <Bucket>found
            start = bucket.at if bucket.at > time else time
        wait = start + self.step - self.span - time
        if wait > 0.0:
            return wait
        bucket.at = start + self.step
        return 0.0


@cython.final
cdef class Front:
    """Identify, cache, match and admit, in the order fastcascade has."""

    cdef dict keys
    cdef Lru cache
    cdef dict exact
    cdef Tree tree
    cdef Patterns patterns
    cdef list pattern_targets
    cdef Buckets buckets

    def __init__(self, keys, Lru cache, exact, Tree tree, Patterns patterns, pattern_targets, Buckets buckets):
        self.keys, self.cache, self.exact = dict(keys), cache, dict(exact)
        self.tree, self.patterns, self.pattern_targets, self.buckets = tree, patterns, list(pattern_targets), buckets

    def take(self, str path not None, str method not None, str credential not None):
        # ("hit", value), ("routed", target, params, key) or ("refused", status, wait)
        cdef PyObject* found = PyDict_GetItem(self.keys, credential)
        cdef str name, key
        cdef object value
        cdef tuple match
        cdef double wait
        cdef dict params = {}
        if found is NULL:
            return ("refused", 401, 0.0)
        name = <str>found
        key = name + path
        value = self.cache.get(key) if method == "GET" else None
        if value is not None:
            return ("hit", value)
        found = PyDict_GetItem(self.exact, path)
        if found is not NULL:
            found = PyDict_GetItem(<dict>found, method)
        if found is not NULL:
            value = <object>found
        else:
            match = self.tree.find(path, method)
            if match is not None:
                value, params = match
            else:
                index = self.patterns.first(path)
                if index is None:
                    return ("refused", 404, 0.0)
                value = self.pattern_targets[index]
        wait = self.buckets.admit(name)
        if wait > 0.0:
            return ("refused", 429, wait)
        return ("routed", value, params, key)
