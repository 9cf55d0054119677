//! The field of 2^64 elements: polynomials over one bit, modulo `x^64 + x^4 + x^3 + x + 1`.
//! Addition is exclusive or.

/// Multiplies by one number many times.
#[derive(Debug)]
pub struct Times([u128; 16]);

impl Times {
    /// Prepares products with all four-bit numbers.
    #[must_use]
    pub fn new(factor: u64) -> Self {
        let mut table = [0u128; 16];
        for (number, product) in (0u128..).zip(&mut table) {
            for bit in 0..4 {
                if number >> bit & 1 == 1 {
                    *product ^= u128::from(factor) << bit;
                }
            }
        }
        Self(table)
    }

    /// The product with the prepared number.
    #[must_use]
    pub fn mul(&self, other: u64) -> u64 {
        let mut product = 0u128;
        for digit in (0..16).rev() {
            let number = usize::try_from(other >> (4 * digit) & 15).unwrap_or(0);
            product = product << 4 ^ self.0.get(number).copied().unwrap_or(0);
        }
        reduce(product)
    }
}

/// The product of two numbers.
#[must_use]
pub fn mul(a: u64, b: u64) -> u64 {
    Times::new(a).mul(b)
}

/// A number times itself: its bits with a zero between each.
#[must_use]
pub fn square(a: u64) -> u64 {
    let mut x = u128::from(a);
    for (shift, mask) in [
        (32, 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff_u128),
        (16, 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333_3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555_5555_5555_5555_5555),
    ] {
        x = (x | x << shift) & mask;
    }
    reduce(x)
}

/// The number whose product with `a` is 1; 0 for 0: `a` to the power `2^64 - 2`.
#[must_use]
pub fn invert(a: u64) -> u64 {
    let (mut power, mut out) = (square(a), 1);
    for _ in 1..64 {
        out = mul(out, power);
        power = square(power);
    }
    out
}

fn reduce(product: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, rest @ ..] = product.to_be_bytes();
    let (high, low) = (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(rest));
    // What overflows once more when the upper half is folded in.
    let high = high ^ high >> 63 ^ high >> 61 ^ high >> 60;
    low ^ high ^ high << 1 ^ high << 3 ^ high << 4
}
