//! The verifier's signature checks as a core module, for `tests/wycheproof`: what the component computes where no host
//! answers, compiled as the component is, but asked about any message.

use linkgate_verifier::key::{PublicKey, Scheme};
use linkgate_verifier::limits::Budget;
use linkgate_verifier::signature::{Checked, Pure, check};

/// Room for a question. It is never given back: the driver drops the instance.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "an export has its name")]
pub extern "C" fn allocate(length: usize) -> *mut u8 {
    Vec::leak(vec![0_u8; length]).as_mut_ptr()
}

/// 1 if the signature holds, 0 if it does not, -1 if the question has no key of that scheme. The question is the scheme,
/// the key's SPKI, the message and the signature, each after its length in four bytes, little-endian.
///
/// # Safety
///
/// `question` is what [`allocate`] returned for `length`.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the driver writes into the memory")]
pub unsafe extern "C" fn holds(question: *const u8, length: usize) -> i32 {
    // SAFETY: the caller promises it.
    let mut rest = unsafe { std::slice::from_raw_parts(question, length) };
    let mut part = || {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*head) as usize)?;
        rest = tail;
        Some(part)
    };
    let (Some(scheme), Some(spki), Some(message), Some(signature)) = (part(), part(), part(), part()) else {
        return -1;
    };
    let scheme = str::from_utf8(scheme).ok().and_then(Scheme::parse);
    let Ok(key) = PublicKey::from_spki(spki, scheme) else {
        return -1;
    };
    match check(&key, message, signature, &Budget::default(), &mut Pure) {
        Ok(Checked::Valid) => 1,
        Ok(Checked::Invalid) => 0,
        Err(_) => -1,
    }
}
