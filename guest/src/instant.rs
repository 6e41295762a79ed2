//! Instants of time: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.

/// Seconds since the epoch. Negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl Instant {
    /// The last one that can be written: 9999-12-31T23:59:59Z.
    pub const LAST: Self = Self(253_402_300_799);

    /// Reads exactly `YYYY-MM-DDTHH:MM:SSZ`, a real date and time (specification 1.0, section 4.3: ISO 8601 in UTC).
    /// Offsets, fractions, lower case and second 60 are none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 20] = text.as_bytes().try_into().ok()?;
        let [
            y1,
            y2,
            y3,
            y4,
            b'-',
            m1,
            m2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            n1,
            n2,
            b':',
            s1,
            s2,
            b'Z',
        ] = *bytes
        else {
            return None;
        };
        let year = number(&[y1, y2, y3, y4])?;
        let month = number(&[m1, m2])?;
        let day = number(&[d1, d2])?;
        let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
        if !(1..=12).contains(&month)
            || day < 1
            || day > days_in(year, month)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        Some(Self(
            days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second,
        ))
    }
}

impl core::fmt::Display for Instant {
    /// Writes the form that [`Instant::parse`] reads, for years 0 to 9999.
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (mut days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        // Whole cycles of 400 years first, then years and months by counting: no year needs more than 411 steps.
        let mut year = 1970 + 400 * days.div_euclid(146_097);
        days = days.rem_euclid(146_097);
        while days >= days_before(year + 1, 1, 1) - days_before(year, 1, 1) {
            days -= days_before(year + 1, 1, 1) - days_before(year, 1, 1);
            year += 1;
        }
        let mut month = 1;
        while days >= days_in(year, month) {
            days -= days_in(year, month);
            month += 1;
        }
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
            days + 1
        )
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let past = year - 1;
    let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
    let days_of_months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    past * 365 + leap_days + days_of_months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-22T00:00:00Z", 1_795_305_600),
            ("1969-12-31T23:59:59Z", -1),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(Instant::parse(text), Some(Instant(seconds)), "{text}");
            assert_eq!(Instant(seconds).to_string(), text);
        }
    }

    #[test]
    fn written_whatever_it_is() {
        for seconds in [i64::MIN, -62_167_219_201, Instant::LAST.0 + 1, i64::MAX] {
            assert!(Instant(seconds).to_string().ends_with('Z'));
        }
        assert_eq!(Instant::LAST.to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "2030-02-29T00:00:00Z",
            "2030-00-01T00:00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-01-00T00:00:00Z",
            "2030-04-31T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:60:00Z",
            "2030-06-30T23:59:60Z",
            "2030-01-01 00:00:00Z",
            "2030-01-01T00:00:00z",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:00.5Z",
            "2030-01-01T00:00:00+00:00",
            " 2030-01-01T00:00:00Z",
            "2030-1-1T0:0:0Z",
            "+030-01-01T00:00:00Z",
            "2030-01-01T00:00:00Z ",
            "２030-01-01T00:00:00Z",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }
}
