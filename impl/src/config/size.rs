//! Sizes in bytes as people write them.

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `4TiB`, `4T` (the same), `4TB` (powers of 1000), `1.5 GiB`, `512`.
///
/// # Errors
/// Text that is no size, or one of more than 2^64 bytes or less than one. 2^64 itself is taken as one byte less: it is
/// what [`format()`] rounds the largest sizes to.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let invalid = || format!("{text:?} is no size: expected a number and a unit, for example 4TiB or 500GB");
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let bytes = number * unit_bytes(unit.trim()).ok_or_else(invalid)?;
    if !(1.0..=u64::MAX as f64).contains(&bytes) {
        return Err(invalid());
    }
    Ok(bytes as u64)
}

/// Formats a size with one decimal, in the largest unit that leaves a number of at least 1.
pub fn format(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

fn unit_bytes(unit: &str) -> Option<f64> {
    let upper = unit.to_ascii_uppercase();
    let (prefix, base) = match upper.as_str() {
        "" | "B" => return Some(1.0),
        text if text.ends_with("IB") => (&text[..text.len() - 2], 1024f64),
        text if text.ends_with('B') => (&text[..text.len() - 1], 1000.0),
        text => (text, 1024.0),
    };
    let power = ["K", "M", "G", "T", "P", "E"]
        .iter()
        .position(|known| *known == prefix)?
        + 1;
    Some(base.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("512", 512),
            ("1B", 1),
            ("4KiB", 4096),
            ("4k", 4096),
            ("4KB", 4000),
            ("1.5 GiB", 3 << 29),
            ("4TiB", 4 << 40),
            ("4T", 4 << 40),
            ("4tb", 4_000_000_000_000),
            ("15EiB", 15 << 60),
            ("16.0 EiB", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in [
            "", "TiB", "4XB", "-4TiB", "4..5T", "0", "0.1B", "16.1EiB", "4Tib/s", "4 T i B", "é",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (3 << 29, "1.5 GiB"),
            (64 << 40, "64.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format(bytes), text);
        }
    }
}
