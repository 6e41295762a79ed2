//! The policy as hosts of waPC call it, and the clock that they have. Nothing here decides.

use core::mem::MaybeUninit;

use crate::operation;
use crate::prelude::*;

mod import {
    #[link(wasm_import_module = "wapc")]
    #[expect(unsafe_code, reason = "imports are foreign functions")]
    unsafe extern "C" {
        /// Writes the call's operation and message, of the lengths that were said.
        #[link_name = "__guest_request"]
        pub(super) fn guest_request(operation: *mut u8, message: *mut u8);
        /// Takes the answer.
        #[link_name = "__guest_response"]
        pub(super) fn guest_response(answer: *const u8, length: usize);
        /// Takes the reason why there is none.
        #[link_name = "__guest_error"]
        pub(super) fn guest_error(reason: *const u8, length: usize);
    }

    // Of all of WASI this alone: whether a layout has expired cannot be judged without. Kubewarden's hosts have it.
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    #[expect(unsafe_code, reason = "imports are foreign functions")]
    unsafe extern "C" {
        /// Writes the time of a clock, in nanoseconds; 0 if that went well.
        pub(super) fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> i32;
    }
}

/// Wall-clock time (WASI preview 1, `clockid`).
const REALTIME: u32 = 0;
const SECOND: u64 = 1_000_000_000;
/// 2026-01-01T00:00:00Z, before this was written: a clock that is behind would take expired layouts for good.
const EARLIEST: u64 = 1_767_225_600;

/// Answers a call of the host: 1 if there is an answer.
#[expect(unsafe_code, reason = "an export has its name, and the host writes into the memory")]
#[unsafe(no_mangle)]
extern "C" fn __guest_call(operation_length: usize, message_length: usize) -> i32 {
    let mut operation: Vec<u8> = vec![0; operation_length];
    let mut message: Vec<u8> = vec![0; message_length];
    // SAFETY: both have the lengths that the host has named.
    unsafe { import::guest_request(operation.as_mut_ptr(), message.as_mut_ptr()) };
    match operation::answer(&operation, &message, now) {
        Ok(answer) => {
            // SAFETY: the host copies it.
            unsafe { import::guest_response(answer.as_ptr(), answer.len()) };
            1
        }
        Err(reason) => {
            // SAFETY: the host copies it.
            unsafe { import::guest_error(reason.as_ptr(), reason.len()) };
            0
        }
    }
}

/// Seconds since 1970.
#[expect(unsafe_code, reason = "the host writes the time")]
fn now() -> Result<i64, String> {
    let mut time = MaybeUninit::<u64>::zeroed();
    // SAFETY: there is room for the time; zeroed, it is one as well.
    let (failure, nanoseconds) = unsafe {
        (
            import::clock_time_get(REALTIME, SECOND, time.as_mut_ptr()),
            time.assume_init(),
        )
    };
    if failure != 0 {
        return Err(format!("undecided: the host's clock cannot be read (errno {failure})"));
    }
    let seconds = nanoseconds / SECOND;
    if seconds < EARLIEST {
        return Err(format!(
            "undecided: the host's clock says {seconds}, which is in the past"
        ));
    }
    i64::try_from(seconds).map_err(|error| format!("undecided: the host's clock: {error}"))
}
