//! Audiences and their readers.

use mosaic_node::api::types::{Audience, Reader};

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
