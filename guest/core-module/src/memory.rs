//! What crosses between host and module: bytes at a place in the module's memory.

use alloc::alloc::{Layout, alloc as allocate, dealloc as deallocate};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::NonNull;

/// Takes `length` bytes for the host to write into, and returns where they are; 0 if there is no such memory.
#[expect(unsafe_code, reason = "an export has its name, and an allocator is asked")]
#[unsafe(no_mangle)]
pub extern "C" fn alloc(length: usize) -> *mut u8 {
    match layout(length) {
        // No bytes lie anywhere but at 0, which says that there is no memory.
        Some(layout) if layout.size() == 0 => NonNull::dangling().as_ptr(),
        // SAFETY: it has a size.
        Some(layout) => unsafe { allocate(layout) },
        None => core::ptr::null_mut(),
    }
}

/// Gives back what [`alloc`] or [`crate::verify`] returned.
///
/// # Safety
///
/// There are `length` bytes at `place` that the host owns, and it forgets them.
#[expect(unsafe_code, reason = "an export has its name, and an allocator is asked")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dealloc(place: *mut u8, length: usize) {
    if let Some(layout) = layout(length).filter(|layout| layout.size() > 0) {
        // SAFETY: the host promises that it came from the same allocator by the same layout.
        unsafe { deallocate(place, layout) }
    }
}

fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length, 1).ok()
}

/// Hands a text to the host: the place in the upper 32 bits, the length in the lower.
pub(crate) fn give(text: String) -> u64 {
    let text = Box::leak(text.into_bytes().into_boxed_slice());
    (text.as_mut_ptr() as u64) << 32 | text.len() as u64
}

/// Takes over what the host put into memory of [`alloc`] and names as [`give`] does. None if it names no place.
///
/// # Safety
///
/// If the upper half is not 0, the host owns those bytes, has written all of them, and forgets them.
#[expect(unsafe_code, reason = "the host names a place in the memory")]
pub(crate) unsafe fn take(named: u64) -> Option<Vec<u8>> {
    let [place, length] = [named >> 32, named & u64::from(u32::MAX)].map(usize::try_from);
    let (Ok(place @ 1..), Ok(length)) = (place, length) else {
        return None;
    };
    // Bytes beyond the memory's end are no bytes that `alloc` gave.
    let end = core::arch::wasm32::memory_size(0).saturating_mul(1 << 16);
    if place.checked_add(length).is_none_or(|last| last > end) {
        return None;
    }
    // SAFETY: the host promises it; the layout is that of `alloc`.
    Some(unsafe { Vec::from_raw_parts(core::ptr::with_exposed_provenance_mut(place), length, length) })
}
