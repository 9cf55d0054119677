//! Audiences and their readers.

use mosaic_node::api::types::{Audience, Claim, Reader};

use super::{Cell, View};

pub(super) fn audience(audience: &Audience) -> View {
    View::Row(vec![
        Cell::Name(audience.name.clone()),
        Cell::Count(audience.members, "reader"),
        Cell::Count(audience.posts, "post"),
        Cell::Id(audience.id.clone()),
    ])
}

pub(super) fn reader(reader: &Reader) -> View {
    View::Row(vec![
        Cell::Id(reader.account.clone()),
        Cell::Name(reader.name.clone().unwrap_or_default()),
    ])
}

pub(super) fn claim(claim: &Claim) -> View {
    let id = claim.device.as_ref().or(claim.account.as_ref());
    let who = match (&claim.name, id) {
        (Some(name), _) => Cell::Name(name.clone()),
        (None, Some(id)) => Cell::Id(id.clone()),
        (None, None) => Cell::Text(String::new()),
    };
    View::Row(vec![Cell::Text(claim.about.replace('_', " ")), who, Cell::Text(claim.text.clone())])
}
