//! Pages of lists, with opaque cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SubsecRound, Utc};

use super::ApiRequest;
use crate::api_error::ApiError;

/// The digits of a second in the times of answers, which callers send back.
const MILLIS: u16 = 3;

/// The place of an entry in a list that is sorted by its last change and then by its creation.
pub(super) type Place = (DateTime<Utc>, u64);

/// The part of a list that a request asks for.
pub(super) struct PageQuery {
    limit: usize,
    /// The place of the last entry of the previous page.
    after: Option<Place>,
    /// Only entries that changed after this time are listed.
    updated_after: Option<DateTime<Utc>>,
}

/// A part of a list, and the cursor of the next one.
pub(super) struct Page<'list, T> {
    pub(super) entries: Vec<&'list T>,
    pub(super) next_cursor: Option<String>,
}

impl PageQuery {
    /// Parses `limit`, `cursor` and `updated_after`. A limit above `max` is reduced to it. A cursor wins over a time.
    pub(super) fn parse(request: &ApiRequest, max: usize) -> Result<Self, ApiError> {
        let after = given(request, "cursor").map(parse_cursor).transpose()?;
        let updated_after = given(request, "updated_after").map(parse_time).transpose()?;
        let updated_after = if after.is_some() { None } else { updated_after };
        Ok(Self { limit: parse_limit(request, max, max)?, after, updated_after })
    }

    /// Returns the page of a list whose entries have the given places.
    pub(super) fn cut<'list, T>(&self, mut entries: Vec<&'list T>, place: impl Fn(&T) -> Place) -> Page<'list, T> {
        entries.retain(|entry| {
            let place = place(entry);
            self.after.is_none_or(|after| after < place)
                && self.updated_after.is_none_or(|after| after < place.0.trunc_subsecs(MILLIS))
        });
        entries.sort_by_key(|entry| place(entry));
        let is_cut = entries.len() > self.limit;
        entries.truncate(self.limit);
        let last = entries.last().filter(|_| is_cut);
        Page { next_cursor: last.map(|last| render_cursor(place(last))), entries }
    }
}

/// Parses `limit`, which is at least 1. Where it is absent it is `default`, and above `max` it is `max`.
pub(super) fn parse_limit(request: &ApiRequest, default: usize, max: usize) -> Result<usize, ApiError> {
    let Some(text) = given(request, "limit") else { return Ok(default) };
    match text.parse::<usize>() {
        Ok(limit) if limit > 0 => Ok(limit.min(max)),
        _ => Err(ApiError::invalid(format!("invalid limit '{text}', must be a positive number"))),
    }
}

fn given<'request>(request: &'request ApiRequest, name: &str) -> Option<&'request str> {
    request.query(name).filter(|text| !text.is_empty())
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, ApiError> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc()).map_err(|_| ApiError::invalid(format!("invalid updated_after '{text}'")))
}

fn render_cursor((at, sequence): Place) -> String {
    let nanos = at.timestamp_nanos_opt().unwrap_or_default();
    URL_SAFE_NO_PAD.encode(format!("{nanos} {sequence}"))
}

fn parse_cursor(text: &str) -> Result<Place, ApiError> {
    let parse = || {
        let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (nanos, sequence) = decoded.split_once(' ')?;
        Some((DateTime::from_timestamp_nanos(nanos.parse().ok()?), sequence.parse().ok()?))
    };
    parse().ok_or_else(|| ApiError::invalid("invalid cursor"))
}
