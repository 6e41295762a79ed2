//! The verifier as a WebAssembly core module: a request's JSON form goes in, its answer's comes out. `wit/core-module.md`
//! is the page for hosts; what is promised there is kept here.

#![no_std]

extern crate alloc;
extern crate linkgate_runtime;

pub mod memory;
mod signatures;

use linkgate_verifier::verdict;
use linkgate_verifier::verify;

use signatures::Host;

/// The version of this interface. It changes when a host that was right would become wrong.
const ABI_VERSION: u32 = 1;

/// Says which version of the interface this is.
#[expect(unsafe_code, reason = "an export has its name")]
#[unsafe(no_mangle)]
pub extern "C" fn abi_version() -> u32 {
    ABI_VERSION
}

/// Judges the request of `length` bytes at `request`, and returns where its answer is: the place in the upper 32 bits,
/// the length in the lower. Both stay the host's, to give back by [`memory::dealloc`].
///
/// # Safety
///
/// `request` is what [`memory::alloc`] returned for `length`, and the host has written all of it.
#[expect(unsafe_code, reason = "the host writes into the memory")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn verify(request: *const u8, length: usize) -> u64 {
    // A host that did not see that `alloc` refused has written over this module's own memory.
    if request.is_null() {
        core::arch::wasm32::unreachable()
    }
    // SAFETY: the host promises it.
    let request = unsafe { core::slice::from_raw_parts(request, length) };
    memory::give(verdict::to_json(&verify::verify_json(request, &mut Host)))
}
