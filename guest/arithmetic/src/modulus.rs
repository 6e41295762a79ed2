//! Numbers below an odd modulus, multiplied by Montgomery's method (P. Montgomery, "Modular multiplication without trial
//! division", 1985). All of them are public: nothing here hides how long it takes.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;

/// A digit, the least significant one first. A product of two is what WebAssembly multiplies at once.
type Digit = u32;
/// Twice as wide: the sum of a product of digits and two digits more fits.
type Wide = u64;

/// An odd modulus of two digits or more, whose highest digit is not 0.
#[derive(Clone, Debug)]
pub(crate) struct Modulus {
    digits: Vec<Digit>,
    /// The number that makes a multiple of the modulus end in the digit `Digit::MAX` when the lowest digit is multiplied by it:
    /// -1 / modulus, below 2^32.
    negated_inverse: Digit,
}

impl Modulus {
    /// Reads a big-endian number without leading zeros; none if it is even or short.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let digits = digits(bytes);
        let lowest = *digits.first().filter(|lowest| *lowest % 2 == 1)?;
        if digits.len() < 2 || bytes.first() == Some(&0) {
            return None;
        }
        // Newton's method: each step doubles how many bits are right, and of an odd number's inverse three are its own.
        let mut inverse = lowest;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2_u32.wrapping_sub(lowest.wrapping_mul(inverse)));
        }
        Some(Self {
            digits,
            negated_inverse: inverse.wrapping_neg(),
        })
    }

    /// The length of the modulus in bits.
    pub(crate) fn bits(&self) -> usize {
        let highest = self.digits.last().copied().unwrap_or_default();
        self.digits.len() * Digit::BITS as usize - highest.leading_zeros() as usize
    }

    /// A big-endian number to the power of another, as many bytes as the modulus has; none if the number is not below the
    /// modulus.
    pub(crate) fn power(&self, base: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
        let mut base = digits(base);
        base.resize(self.digits.len().max(base.len()), 0);
        if base.len() > self.digits.len() || !self.is_above(&base) {
            return None;
        }
        let base = self.product(&base, &self.shift_squared());
        let mut power = self.shift();
        for bit in bits(exponent) {
            power = self.product(&power, &power);
            if bit {
                power = self.product(&power, &base);
            }
        }
        let mut one = vec![0; self.digits.len()];
        if let Some(lowest) = one.first_mut() {
            *lowest = 1;
        }
        let power = self.product(&power, &one);
        let bytes = power.iter().rev().flat_map(|digit| digit.to_be_bytes());
        Some(bytes.skip(self.digits.len() * 4 - self.bits().div_ceil(8)).collect())
    }

    /// R, which is 2^32 for each digit: what stands for 1.
    fn shift(&self) -> Vec<Digit> {
        // The highest power of two below the modulus, doubled until it is R.
        let mut power = vec![0; self.digits.len()];
        let bits = self.bits() - 1;
        if let Some(digit) = power.get_mut(bits / Digit::BITS as usize) {
            *digit = 1 << (bits % Digit::BITS as usize);
        }
        for _ in bits..self.digits.len() * Digit::BITS as usize {
            self.double(&mut power);
        }
        power
    }

    /// R^2, by which a number is multiplied for what stands for it: 2 to the power of R's bits, times R.
    fn shift_squared(&self) -> Vec<Digit> {
        let mut power = self.shift();
        // A squaring doubles the power, and costs about as much as one doubling for each digit: with fewer doublings left than
        // that, it saves nothing.
        let (mut doublings, mut squarings) = (self.digits.len() * Digit::BITS as usize, 0);
        while doublings > self.digits.len() && doublings % 2 == 0 {
            (doublings, squarings) = (doublings / 2, squarings + 1);
        }
        for _ in 0..doublings {
            self.double(&mut power);
        }
        for _ in 0..squarings {
            power = self.product(&power, &power);
        }
        power
    }

    fn double(&self, number: &mut [Digit]) {
        let mut carry = 0;
        for digit in &mut *number {
            (carry, *digit) = (*digit >> (Digit::BITS - 1), *digit << 1 | carry);
        }
        if carry > 0 || !self.is_above(number) {
            self.subtract(number);
        }
    }

    /// The product of two numbers below the modulus, divided by R.
    fn product(&self, one: &[Digit], other: &[Digit]) -> Vec<Digit> {
        // One digit more than the modulus has; every round adds a multiple that makes the lowest one 0, and drops it.
        let mut sum = vec![0; self.digits.len() + 1];
        for &factor in one {
            let places = Cell::from_mut(sum.as_mut_slice()).as_slice_of_cells();
            let mut pairs = other.iter().zip(&self.digits);
            let (Some((&first, &lowest)), Some(place)) = (pairs.next(), places.first()) else {
                break;
            };
            let (added, mut carry) = multiply_add(factor, first, place.get(), 0);
            let multiple = added.wrapping_mul(self.negated_inverse);
            let (_, mut carry_of_multiple) = multiply_add(multiple, lowest, added, 0);
            let mut neighbours = places.iter().zip(places.iter().skip(1));
            for ((&digit, &digit_of_modulus), (below, place)) in pairs.zip(&mut neighbours) {
                let (added, next) = multiply_add(factor, digit, place.get(), carry);
                let (low, next_of_multiple) = multiply_add(multiple, digit_of_modulus, added, carry_of_multiple);
                below.set(low);
                (carry, carry_of_multiple) = (next, next_of_multiple);
            }
            if let Some((below, place)) = neighbours.next() {
                let top = Wide::from(place.get()) + Wide::from(carry) + Wide::from(carry_of_multiple);
                below.set(low(top));
                place.set(high(top));
            }
        }
        let carry = sum.pop().unwrap_or_default();
        if carry > 0 || !self.is_above(&sum) {
            self.subtract(&mut sum);
        }
        sum
    }

    /// Whether the modulus is more than a number of as many digits.
    fn is_above(&self, number: &[Digit]) -> bool {
        number.iter().rev().lt(self.digits.iter().rev())
    }

    /// Subtracts the modulus once from a number of as many digits, and what is borrowed from a digit above them.
    fn subtract(&self, number: &mut [Digit]) {
        let mut borrowed = false;
        for (digit, &less) in number.iter_mut().zip(&self.digits) {
            let (difference, one) = digit.overflowing_sub(less);
            let (difference, other) = difference.overflowing_sub(Digit::from(borrowed));
            (*digit, borrowed) = (difference, one || other);
        }
    }
}

/// `one * other + added + carry`: its lower digit, and its higher one.
#[expect(
    clippy::inline_always,
    reason = "all time goes by here, and a build for size makes it a call"
)]
#[inline(always)]
fn multiply_add(one: Digit, other: Digit, added: Digit, carry: Digit) -> (Digit, Digit) {
    let wide = Wide::from(one) * Wide::from(other) + Wide::from(added) + Wide::from(carry);
    (low(wide), high(wide))
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
fn low(wide: Wide) -> Digit {
    wide as Digit
}

fn high(wide: Wide) -> Digit {
    low(wide >> Digit::BITS)
}

/// The digits of a big-endian number.
fn digits(bytes: &[u8]) -> Vec<Digit> {
    let digit = |bytes: &[u8]| bytes.iter().fold(0, |digit, byte| digit << 8 | Digit::from(*byte));
    bytes.rchunks(4).map(digit).collect()
}

/// The bits of a big-endian number, the most significant one first.
fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(modulus: u128, base: u128, exponent: u128) -> Option<u128> {
        let short = |number: u128| number.to_be_bytes()[number.leading_zeros() as usize / 8..].to_vec();
        let bytes = short(modulus);
        let found = Modulus::new(&bytes)
            .unwrap()
            .power(&short(base), &exponent.to_be_bytes())?;
        assert_eq!(found.len(), bytes.len());
        Some(found.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }

    /// By doubling and adding, which is right at a glance.
    fn slow(modulus: u128, base: u128, exponent: u128) -> u128 {
        let add = |one: u128, other: u128| {
            if one >= modulus - other {
                one - (modulus - other)
            } else {
                one + other
            }
        };
        let multiply = |one: u128, other: u128| {
            (0..128).rev().fold(0, |sum, bit| {
                let sum = add(sum, sum);
                if other >> bit & 1 == 1 { add(sum, one) } else { sum }
            })
        };
        (0..128).rev().fold(1, |power, bit| {
            let power = multiply(power, power);
            if exponent >> bit & 1 == 1 {
                multiply(power, base)
            } else {
                power
            }
        })
    }

    #[test]
    fn powers_are_those_of_long_multiplication() {
        let mut state = 1_u128;
        let mut next = || {
            // Drawn by a linear congruence, and with long runs of equal bits, where carries go far.
            state = state
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(1);
            match state >> 126 {
                0 => state,
                1 => state | u128::MAX << 40,
                2 => state & u128::MAX >> 60,
                _ => !(u128::from(u32::MAX) << 40) ^ (state & 0xff),
            }
        };
        for _ in 0..2_000 {
            let modulus = (next() >> (next() % 90)) | 1 << 33 | 1;
            let (base, exponent) = (next() % modulus, next() >> (next() % 128));
            assert_eq!(
                power(modulus, base, exponent),
                Some(slow(modulus, base, exponent)),
                "{modulus} {base} {exponent}"
            );
        }
    }

    #[test]
    fn the_largest_and_the_smallest() {
        for modulus in [
            u128::MAX,
            u128::MAX - 2,
            (1 << 127) + 1,
            (1 << 33) + 1,
            u128::from(u64::MAX),
            (1 << 96) - 1,
        ] {
            for base in [0, 1, 2, modulus - 2, modulus - 1] {
                for exponent in [0, 1, 2, 3, 65_537, u128::MAX] {
                    assert_eq!(power(modulus, base, exponent), Some(slow(modulus, base, exponent)));
                }
            }
            assert_eq!(power(modulus, modulus, 3), None);
        }
        assert_eq!(power(u128::MAX >> 1, u128::MAX, 3), None);
    }

    #[test]
    fn a_modulus_is_odd_and_long() {
        for wrong in [&[][..], &[1], &[0xff; 4], &[1, 0, 0, 0, 2], &[0, 1, 0, 0, 0, 1]] {
            assert!(Modulus::new(wrong).is_none(), "{wrong:?}");
        }
        assert_eq!(Modulus::new(&[1, 0, 0, 0, 1]).map(|modulus| modulus.bits()), Some(33));
    }
}
