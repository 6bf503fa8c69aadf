"""Whether Python objects still hold the very objects they held: one native call for a whole model and its optimiser.

Python needs about 30 ns for every attribute that it compares by identity, native code 5. The objects are read through
CPython's own functions; nothing is assumed of how they lie in memory, but of
NumPy arrays, where NumPy's C interface fixes it. A table of words says what to compare:

=============  ==========================================================================================
``DICT``       dict, number of entries, then key and value of each, in order (0: whatever the value is)
``LIST``       list, number of entries, then each
``CELL``       cell of a closure, its contents (0: not assigned)
``NAME``       dict, key, value (0: not there)
``OBJECT``     object, its ``__dict__``
``FUNCTION``   function, its code, its defaults for parameters and for keywords (0: none)
``TYPE``       object, its class
``ARRAY``      NumPy array, address, dtype, number of axes, then size and stride of each
``END``
=============  ==========================================================================================
"""

import ctypes
import functools
from collections.abc import Callable

import numpy as np
from llvmlite import binding

from ..llvm.ir_text import jit_compile_ir

END, DICT, LIST, CELL, NAME, OBJECT, FUNCTION, TYPE, ARRAY = range(9)
DATA, AXES, SIZES, STRIDES, DTYPE = (object.__basicsize__ + 8 * field for field in (0, 1, 2, 3, 5))
"""Where the fields of a NumPy array lie."""
_SAMPLE = np.zeros((2, 3))[1:]
LAID_OUT = [ctypes.c_int64.from_address(id(_SAMPLE) + offset).value for offset in (DATA, DTYPE)] == [
    _SAMPLE.__array_interface__["data"][0],
    id(_SAMPLE.dtype),
]
"""Whether they do; else who holds an array cannot be compared."""
FUNCTIONS = (
    "PyDict_Size",
    "PyDict_Next",
    "PyDict_GetItemWithError",
    "PyList_Size",
    "PyList_GetItem",
    "PyCell_Get",
    "PyFunction_GetDefaults",
    "PyFunction_GetKwDefaults",
    "PyFunction_GetCode",
    "PyObject_GenericGetDict",
    "PyObject_Type",
    "Py_DecRef",
)
CODE = f"""
declare i64 @PyDict_Size(ptr)
declare i32 @PyDict_Next(ptr, ptr, ptr, ptr)
declare ptr @PyDict_GetItemWithError(ptr, ptr)
declare i64 @PyList_Size(ptr)
declare ptr @PyList_GetItem(ptr, i64)
declare ptr @PyCell_Get(ptr)
declare ptr @PyFunction_GetDefaults(ptr)
declare ptr @PyFunction_GetKwDefaults(ptr)
declare ptr @PyFunction_GetCode(ptr)
declare ptr @PyObject_GenericGetDict(ptr, ptr)
declare ptr @PyObject_Type(ptr)
declare void @Py_DecRef(ptr)

define i32 @same(ptr %table) {{
  %position = alloca i64
  %key.at = alloca ptr
  %value.at = alloca ptr
  br label %next
next:
  %at = phi ptr [%table, %0], [%third.at, %owned], [%pair.at, %pairs], [%item.at, %items], [%fourth.at, %name], [%first.axis.at, %function], [%axis.at, %axes]
  %kind = load i64, ptr %at
  %second.at = getelementptr i64, ptr %at, i64 2
  %third.at = getelementptr i64, ptr %at, i64 3
  %fourth.at = getelementptr i64, ptr %at, i64 4
  %first.axis.at = getelementptr i64, ptr %at, i64 5
  %last = icmp eq i64 %kind, {END}
  br i1 %last, label %equal, label %more
more: ; two words follow, whatever the kind
  %object.at = getelementptr i64, ptr %at, i64 1
  %object = load ptr, ptr %object.at
  %second = load ptr, ptr %second.at
  %count = ptrtoint ptr %second to i64
  switch i64 %kind, label %differ [
    i64 {DICT}, label %dict
    i64 {LIST}, label %list
    i64 {CELL}, label %cell
    i64 {NAME}, label %look
    i64 {OBJECT}, label %object.dict
    i64 {FUNCTION}, label %code
    i64 {TYPE}, label %type
    i64 {ARRAY}, label %array
  ]

dict:
  %entries = call i64 @PyDict_Size(ptr %object)
  %as.many = icmp eq i64 %entries, %count
  store i64 0, ptr %position
  br i1 %as.many, label %pairs, label %differ
pairs:
  %pair.at = phi ptr [%third.at, %dict], [%pair.next, %pair.value], [%pair.next, %pair.any]
  %pairs.left = phi i64 [%count, %dict], [%pairs.fewer, %pair.value], [%pairs.fewer, %pair.any]
  %no.pair = icmp eq i64 %pairs.left, 0
  br i1 %no.pair, label %next, label %pair
pair:
  %found = call i32 @PyDict_Next(ptr %object, ptr %position, ptr %key.at, ptr %value.at)
  %there = icmp ne i32 %found, 0
  br i1 %there, label %pair.key, label %differ
pair.key:
  %key = load ptr, ptr %key.at
  %known.key = load ptr, ptr %pair.at
  %same.key = icmp eq ptr %key, %known.key
  br i1 %same.key, label %pair.value, label %differ
pair.value:
  %value = load ptr, ptr %value.at
  %known.value.at = getelementptr i64, ptr %pair.at, i64 1
  %known.value = load ptr, ptr %known.value.at
  %same.value = icmp eq ptr %value, %known.value
  %pair.next = getelementptr i64, ptr %pair.at, i64 2
  %pairs.fewer = sub i64 %pairs.left, 1
  br i1 %same.value, label %pairs, label %pair.any
pair.any:
  %any.value = icmp eq ptr %known.value, null
  br i1 %any.value, label %pairs, label %differ

list:
  %length = call i64 @PyList_Size(ptr %object)
  %as.long = icmp eq i64 %length, %count
  br i1 %as.long, label %items, label %differ
items:
  %item.at = phi ptr [%third.at, %list], [%item.next, %item]
  %index = phi i64 [0, %list], [%index.next, %item]
  %no.item = icmp eq i64 %index, %count
  br i1 %no.item, label %next, label %item
item:
  %one = call ptr @PyList_GetItem(ptr %object, i64 %index)
  %known.item = load ptr, ptr %item.at
  %same.item = icmp eq ptr %one, %known.item
  %item.next = getelementptr i64, ptr %item.at, i64 1
  %index.next = add i64 %index, 1
  br i1 %same.item, label %items, label %differ

cell:
  %contents = call ptr @PyCell_Get(ptr %object)
  br label %own
object.dict:
  %attributes = call ptr @PyObject_GenericGetDict(ptr %object, ptr null)
  br label %own
type:
  %class = call ptr @PyObject_Type(ptr %object)
  br label %own
own: ; a reference of our own, to be given back
  %own.value = phi ptr [%contents, %cell], [%attributes, %object.dict], [%class, %type]
  call void @Py_DecRef(ptr %own.value)
  %same.own = icmp eq ptr %own.value, %second
  br i1 %same.own, label %owned, label %differ
owned:
  br label %next

code:
  %code.now = call ptr @PyFunction_GetCode(ptr %object)
  %same.code = icmp eq ptr %code.now, %second
  br i1 %same.code, label %positional, label %differ
positional:
  %defaults = call ptr @PyFunction_GetDefaults(ptr %object)
  %known.defaults = load ptr, ptr %third.at
  %same.defaults = icmp eq ptr %defaults, %known.defaults
  br i1 %same.defaults, label %keyword, label %differ
keyword:
  %keywords = call ptr @PyFunction_GetKwDefaults(ptr %object)
  %known.keywords = load ptr, ptr %fourth.at
  %same.keywords = icmp eq ptr %keywords, %known.keywords
  br i1 %same.keywords, label %function, label %differ
function: ; four words were compared
  br label %next

array:
  %data.at = getelementptr i8, ptr %object, i64 {DATA}
  %data = load ptr, ptr %data.at
  %same.data = icmp eq ptr %data, %second
  br i1 %same.data, label %dtype, label %differ
dtype:
  %dtype.at = getelementptr i8, ptr %object, i64 {DTYPE}
  %dtype.now = load ptr, ptr %dtype.at
  %known.dtype = load ptr, ptr %third.at
  %same.dtype = icmp eq ptr %dtype.now, %known.dtype
  br i1 %same.dtype, label %rank, label %differ
rank:
  %rank.at = getelementptr i8, ptr %object, i64 {AXES}
  %rank.int = load i32, ptr %rank.at
  %rank.now = sext i32 %rank.int to i64
  %known.rank = load i64, ptr %fourth.at
  %same.rank = icmp eq i64 %rank.now, %known.rank
  %sizes.at = getelementptr i8, ptr %object, i64 {SIZES}
  %sizes = load ptr, ptr %sizes.at
  %strides.at = getelementptr i8, ptr %object, i64 {STRIDES}
  %strides = load ptr, ptr %strides.at
  br i1 %same.rank, label %axes, label %differ
axes:
  %axis.at = phi ptr [%first.axis.at, %rank], [%axis.next, %axis]
  %axis.number = phi i64 [0, %rank], [%axis.more, %axis]
  %no.axis = icmp eq i64 %axis.number, %known.rank
  br i1 %no.axis, label %next, label %axis
axis:
  %length.at = getelementptr i64, ptr %sizes, i64 %axis.number
  %length.now = load i64, ptr %length.at
  %known.length = load i64, ptr %axis.at
  %same.length = icmp eq i64 %length.now, %known.length
  %stride.at = getelementptr i64, ptr %strides, i64 %axis.number
  %stride.now = load i64, ptr %stride.at
  %known.stride.at = getelementptr i64, ptr %axis.at, i64 1
  %known.stride = load i64, ptr %known.stride.at
  %same.stride = icmp eq i64 %stride.now, %known.stride
  %same.axis = and i1 %same.length, %same.stride
  %axis.next = getelementptr i64, ptr %axis.at, i64 2
  %axis.more = add i64 %axis.number, 1
  br i1 %same.axis, label %axes, label %differ

look:
  %named = call ptr @PyDict_GetItemWithError(ptr %object, ptr %second)
  %known.named = load ptr, ptr %third.at
  %same.named = icmp eq ptr %named, %known.named
  br i1 %same.named, label %name, label %differ

name: ; three words were compared
  br label %next

equal:
  ret i32 1
differ:
  ret i32 0
}}
"""


@functools.cache
def same() -> Callable[[int], int]:
    """Return the native function of a table's address: 1 if all is as the table says, else 0. It holds the GIL."""
    for name in FUNCTIONS:
        binding.add_symbol(name, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    (address,) = jit_compile_ir(CODE, "same")
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(address)
