//! Dates in the headers of requests.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The first letters of days and months, in each of the forms.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Parses a date of HTTP in any of its three forms (RFC 9110, section 5.6.7). Years of two digits are those from 1970
/// to 2069. The day of the week is not compared with the date.
#[must_use]
pub fn parse_http(text: &str) -> Option<OffsetDateTime> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (weekday, day, month, year, time) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [weekday, day, month, year, time, "GMT"] => (weekday.strip_suffix(',')?, day, month, number(year, 4)?, time),
        // Sunday, 06-Nov-94 08:49:37 GMT
        [weekday, date, time, "GMT"] => {
            let (day, rest) = date.split_once('-')?;
            let (month, year) = rest.split_once('-')?;
            let year = number(year, 2)?;
            let century = if year < 70 { 2000 } else { 1900 };
            (weekday.strip_suffix(',')?, day, month, century + year, time)
        }
        // Sun Nov  6 08:49:37 1994
        [weekday, month, day, time, year] => (weekday, day, month, number(year, 4)?, time),
        _ => return None,
    };
    WEEKDAYS.iter().find(|short| weekday.starts_with(**short))?;
    let month = MONTHS.iter().zip(1..).find(|(short, _)| **short == month)?.1;
    let day = number(day, 2).or_else(|| number(day, 1))?;
    let mut times = time.splitn(3, ':').map(|part| number(part, 2));
    let (hour, minute, second) = (times.next()??, times.next()??, times.next()??);
    let small = |number: i32| u8::try_from(number).ok();
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, small(day)?).ok()?;
    // A leap second is the one before it.
    let time = Time::from_hms(small(hour)?, small(minute)?, small(second)?.min(59)).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i32> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A date in the first form, which is the one to send.
#[must_use]
pub fn format_http(date: OffsetDateTime) -> String {
    let weekday = WEEKDAYS[usize::from(date.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(date.month())) - 1];
    let (hour, minute, second) = date.to_hms();
    let (day, year) = (date.day(), date.year());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let seconds = |text| parse_http(text).map(OffsetDateTime::unix_timestamp);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(seconds(text), Some(784_111_777), "{text}");
            assert_eq!(format_http(parse_http(text).unwrap()), "Sun, 06 Nov 1994 08:49:37 GMT");
        }
        assert_eq!(seconds("Wed, 01-Jan-30 00:00:00 GMT"), Some(1_893_456_000));
        assert_eq!(seconds("Sat, 31 Dec 2016 23:59:60 GMT"), Some(1_483_228_799));
        for text in [
            "",
            "0",
            "yesterday",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Day, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
