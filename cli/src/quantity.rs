//! Times, durations and sizes as people write them.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp, ToSpan, Zoned};
use mosaic_node::clock;

/// Reads `30s`, `10m`, `2h 30m`, `90d`; a day is 24 hours.
///
/// # Errors
/// What is wrong, for the parser to show.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time such as 30s, 10m, 2h or 90d");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

/// Reads a point in time: an age such as `2h`, `yesterday`, `today`, a date, or RFC 3339.
/// Returns it as RFC 3339 in UTC with milliseconds.
///
/// # Errors
/// What is wrong, for the parser to show.
pub(crate) fn instant(text: &str) -> Result<String, String> {
    instant_at(text, &now().to_zoned(TimeZone::system()))
}

/// Reads a point in time to come: in so long, such as `2h`; the next `18:30`; `tomorrow`;
/// a date with a time of day; or RFC 3339. Without a zone it is a time of this computer's.
/// Returns it as RFC 3339 in UTC with milliseconds.
///
/// # Errors
/// What is wrong, for the parser to show.
pub(crate) fn coming(text: &str) -> Result<String, String> {
    coming_at(text, &now().to_zoned(TimeZone::system()))
}

fn coming_at(text: &str, now: &Zoned) -> Result<String, String> {
    let wrong = || format!("'{text}' is no time such as 2h, 18:30, 2026-12-24 09:00 or RFC 3339");
    let local = |at: DateTime| {
        // An hour that a clock change skips or repeats is no time that anybody can mean.
        let zoned = now.time_zone().to_ambiguous_zoned(at).unambiguous();
        let clear =
            |_| format!("'{text}' does not name one time here: add an offset, such as +01:00");
        zoned.map(|zoned| zoned.timestamp()).map_err(clear)
    };
    let tomorrow = || now.date().checked_add(1.day()).map_err(|_| wrong());
    let time = if text == "tomorrow" {
        local(tomorrow()?.to_datetime(now.time()))?
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time
    } else if let Ok(zoned) = text.parse::<Zoned>() {
        zoned.timestamp()
    } else if text.contains(':')
        && let Ok(at) = text.parse::<DateTime>()
    {
        local(at)?
    } else if let Ok(time) = text.parse::<Time>() {
        let today = time > now.time();
        local(if today { now.date() } else { tomorrow()? }.to_datetime(time))?
    } else {
        let wait = duration(text).map_err(|_| wrong())?;
        now.timestamp().checked_add(wait).map_err(|_| wrong())?
    };
    Ok(format!("{time:.3}"))
}

/// Returns a time of this computer's, with its zone, for RFC 3339; the text itself if it is none.
pub(crate) fn show_local(time: &str) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return time.to_owned() };
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

fn now() -> Timestamp {
    let ms = i64::try_from(clock::now_ms()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

fn instant_at(text: &str, now: &Zoned) -> Result<String, String> {
    let wrong = || format!("'{text}' is no time such as 2h, yesterday, 2026-11-22 or RFC 3339");
    let day = |date: Date| {
        let start = date.to_zoned(now.time_zone().clone()).map_err(|_| wrong())?;
        Ok::<_, String>(start.timestamp())
    };
    let time = if text == "yesterday" {
        day(now.date().checked_sub(1.day()).map_err(|_| wrong())?)?
    } else if text == "today" {
        day(now.date())?
    } else if let Ok(time) = text.parse::<Timestamp>() {
        time
    } else if let Ok(date) = text.parse::<Date>() {
        day(date)?
    } else {
        let age = duration(text).map_err(|_| wrong())?;
        now.timestamp().checked_sub(age).map_err(|_| wrong())?
    };
    Ok(format!("{time:.3}"))
}

/// Reads `20000000`, `20MB`, `64KiB`.
///
/// # Errors
/// What is wrong, for the parser to show.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("'{text}' is no size such as 20000000, 20MB or 64KiB")),
    };
    let number: u64 =
        number.parse().map_err(|_| format!("'{text}' is no size such as 20000000 or 20MB"))?;
    number.checked_mul(factor).ok_or_else(|| format!("'{text}' is too large"))
}

/// Returns milliseconds of a duration, the most that fits.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `1.2 MB`.
pub(crate) fn show_bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = bytes / (size / 10);
            return if tenths < 100 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            };
        }
    }
    format!("{bytes} B")
}

/// Returns `2 min ago` for an RFC 3339 time, the text itself if it is none.
pub(crate) fn show_age(time: &str) -> String {
    show_age_at(time, now())
}

fn show_age_at(time: &str, now: Timestamp) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return time.to_owned() };
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        ..=-60 => then.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M").to_string(),
        -59..=9 => "now".to_owned(),
        10..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => then.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(duration("2h 30m"), Ok(Duration::from_secs(9000)));
        for bad in ["", "x", "-5s", "10", "1y"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instants() {
        let now: Zoned = "2026-11-22T12:00:00[UTC]".parse().unwrap();
        let at = |text| instant_at(text, &now);
        assert_eq!(at("2h").unwrap(), "2026-11-22T10:00:00.000Z");
        assert_eq!(at("yesterday").unwrap(), "2026-11-21T00:00:00.000Z");
        assert_eq!(at("2026-11-01").unwrap(), "2026-11-01T00:00:00.000Z");
        assert_eq!(at("2026-11-22T08:30:52.506+01:00").unwrap(), "2026-11-22T07:30:52.506Z");
        assert!(at("soon").is_err());
    }

    #[test]
    fn times_to_come() {
        let now: Zoned = "2026-11-22T12:00:00[Europe/Rome]".parse().unwrap();
        let at = |text| coming_at(text, &now);
        assert_eq!(at("2h").unwrap(), "2026-11-22T13:00:00.000Z");
        assert_eq!(at("18:30").unwrap(), "2026-11-22T17:30:00.000Z");
        assert_eq!(at("09:00").unwrap(), "2026-11-23T08:00:00.000Z");
        assert_eq!(at("tomorrow").unwrap(), "2026-11-23T11:00:00.000Z");
        assert_eq!(at("2027-07-01 09:00").unwrap(), "2027-07-01T07:00:00.000Z");
        assert_eq!(at("2027-07-01T09:00").unwrap(), "2027-07-01T07:00:00.000Z");
        assert_eq!(at("2026-12-24T09:00:00+09:00").unwrap(), "2026-12-24T00:00:00.000Z");
        assert_eq!(at("2027-07-01T09:00[America/New_York]").unwrap(), "2027-07-01T13:00:00.000Z");
        // The clock goes forward and back.
        assert!(at("2027-03-28 02:30").unwrap_err().contains("offset"));
        assert!(at("2027-10-31 02:30").unwrap_err().contains("offset"));
        for bad in ["", "soon", "2026-12-24", "25:00", "-2h"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("20000000"), Ok(20_000_000));
        assert_eq!(bytes("20MB"), Ok(20_000_000));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        for bad in ["", "MB", "-1", "1.5MB", "99999999999999999999", "99999999999TB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(show_bytes(999), "999 B");
        assert_eq!(show_bytes(1_234_567), "1.2 MB");
        assert_eq!(show_bytes(402_311), "402 kB");
    }

    #[test]
    fn ages() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(show_age_at("2026-11-22T11:58:00Z", now), "2 min ago");
        assert_eq!(show_age_at("2026-11-22T12:00:05Z", now), "now");
        assert_eq!(show_age_at("2026-11-23T12:00:00Z", now), "2026-11-23 12:00");
        assert_eq!(show_age_at("2025-11-23T12:00:00Z", now), "2025-11-23");
        assert_eq!(show_age_at("?", now), "?");
    }
}
