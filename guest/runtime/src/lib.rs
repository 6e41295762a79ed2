//! What a program takes from the standard library, and a module without it brings along: an allocator, an end for panics,
//! and a comparison of bytes. For the packagings without the standard library, which link it by `extern crate`.

#![no_std]
#![cfg(target_family = "wasm")]

/// The memory grows only; a host drops it with its instance.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// A panic traps, and says nothing: messages and places would be a tenth of the module.
#[panic_handler]
fn trap(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Compares bytes, eight at a time: the one that comes with the compiler takes one at a time, and comparing names and
/// digests is a tenth of a verification.
///
/// # Safety
///
/// As C's `memcmp`: both places hold `length` bytes.
// SAFETY: this is the `memcmp` that the name promises.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the interface is C's")]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    let mut at = 0;
    while at + 8 <= length {
        // SAFETY: both have `at + 8` bytes; a word need not be aligned.
        let (one, other) = unsafe {
            (
                left.add(at).cast::<u64>().read_unaligned(),
                right.add(at).cast::<u64>().read_unaligned(),
            )
        };
        if one != other {
            // The first byte is the least significant as it stands.
            return if one.swap_bytes() < other.swap_bytes() { -1 } else { 1 };
        }
        at += 8;
    }
    while at < length {
        // SAFETY: both have more than `at` bytes.
        let (one, other) = unsafe { (*left.add(at), *right.add(at)) };
        if one != other {
            return i32::from(one) - i32::from(other);
        }
        at += 1;
    }
    0
}
