//! Dates in the headers of requests.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// The first letters of days and months, in each of the forms.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Parses a date of HTTP in any of its three forms (RFC 9110, section 5.6.7). Years of two digits are those from 1970
/// to 2069. The day of the week is not compared with the date.
pub(super) fn parse_http(text: &str) -> Option<OffsetDateTime> {
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
pub(super) fn format_http(date: OffsetDateTime) -> String {
    let weekday = WEEKDAYS[usize::from(date.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(date.month())) - 1];
    let (hour, minute, second) = date.to_hms();
    let (day, year) = (date.day(), date.year());
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// A date as signatures of version 4 name it.
fn format_amz(date: OffsetDateTime) -> String {
    let (hour, minute, second) = date.to_hms();
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Parses a `Date` that a client has signed. botocore writes it as mail does, with an offset from GMT that is zero.
fn parse_signed(text: &str) -> Option<OffsetDateTime> {
    let zones = ["+0000", "-0000"];
    match zones.iter().find_map(|zone| text.strip_suffix(zone)) {
        Some(date) => parse_http(&format!("{date}GMT")),
        None => parse_http(text),
    }
}

/// Puts `x-amz-date`, the only date that s3s reads, into a request that has a `Date` in its place. The signature
/// covers this date whether or not it lists the header: it is part of what is signed.
pub(super) fn complete(headers: &mut HeaderMap) {
    let is_v4 = headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"));
    if !is_v4 || headers.contains_key(AMZ_DATE) {
        return;
    }
    let Some(date) = headers.get(header::DATE) else { return };
    let date = match date.to_str().ok().and_then(parse_signed) {
        // Some send the form of signatures in this header too; s3s refuses what is none.
        None => Some(date.clone()),
        Some(date) => HeaderValue::try_from(format_amz(date)).ok(),
    };
    if let Some(date) = date {
        headers.insert(AMZ_DATE, date);
    }
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

    #[test]
    fn a_date_in_place_of_the_own_one() {
        let completed = |authorization, date, own: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(authorization));
            headers.insert(header::DATE, HeaderValue::from_static(date));
            headers.extend(own.map(|own| (AMZ_DATE, HeaderValue::from_static(own))));
            complete(&mut headers);
            headers.get(AMZ_DATE).map(|date| date.to_str().unwrap().to_owned())
        };
        let (v4, date) = ("AWS4-HMAC-SHA256 x", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(completed(v4, date, None).as_deref(), Some("19941106T084937Z"));
        assert_eq!(
            completed(v4, "19941106T084937Z", None).as_deref(),
            Some("19941106T084937Z")
        );
        let as_mail = "Sun, 06 Nov 1994 08:49:37 -0000";
        assert_eq!(completed(v4, as_mail, None).as_deref(), Some("19941106T084937Z"));
        assert_eq!(parse_http(as_mail), None);
        assert_eq!(completed(v4, date, Some("own")).as_deref(), Some("own"));
        assert_eq!(completed("AWS a:b", date, None), None);
    }
}
