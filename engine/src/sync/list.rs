//! The opener's list of spaces: how both sides name sections in a session.

use crate::description::SectionClass;
use crate::hash::SpaceId;
use crate::sync::exchange::{Exchange, ExchangeResult, Section};
use crate::sync::session::Session;
use crate::wire::{SectionRef, ShortTag, Tag};

/// A space in the opener's list, as both sides number it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListEntry {
    pub space: Option<SpaceId>,
    pub tag: ShortTag,
    /// Classes on offer, bit `class - 1`.
    pub offered: u8,
    /// Those both talk about.
    pub common: u8,
    /// Those the remote keeps.
    pub kept_there: u8,
    /// Those kept here.
    pub kept_here: u8,
    /// Those of which the remote keeps a part: it asks for what it wants of them.
    pub sparing_there: u8,
    /// Those of which the remote may lack files, by its own choice.
    pub partial_there: u8,
}

impl ListEntry {
    /// The sections both talk about.
    pub fn sections(&self) -> impl Iterator<Item = Section> {
        let space = self.space.into_iter();
        let common = CLASSES.into_iter().filter(|class| self.common & bit(*class) != 0);
        space.flat_map(move |space| common.clone().map(move |class| Section { space, class }))
    }
}

impl Session {
    /// The common sections in the order of the list.
    pub(super) fn sections(&self) -> Vec<(SectionRef, Section)> {
        let mut out = Vec::new();
        for (number, entry) in self.list.iter().enumerate() {
            let Some(space) = entry.space else { continue };
            for class in CLASSES {
                if entry.common & bit(class) != 0 {
                    let reference = SectionRef { entry: number as u64, class };
                    out.push((reference, Section { space, class }));
                }
            }
        }
        out
    }

    /// The section that a message names, if both talk about it.
    pub(super) fn resolve(&self, reference: &SectionRef) -> Option<Section> {
        let entry = self.list.get(usize::try_from(reference.entry).ok()?)?;
        let common = entry.common & bit(reference.class) != 0;
        entry.space.filter(|_| common).map(|space| Section { space, class: reference.class })
    }

    /// The name of a common section, and whether the remote keeps it.
    pub(super) fn reference(&self, section: &Section) -> Option<(SectionRef, bool)> {
        let number = self.list.iter().position(|entry| entry.space == Some(section.space))?;
        let entry = self.list.get(number)?;
        let bit = bit(section.class);
        let reference = SectionRef { entry: number as u64, class: section.class };
        (entry.common & bit != 0).then_some((reference, entry.kept_there & bit != 0))
    }

    /// Whether the remote keeps only a part of a common section, and asks for it.
    pub(super) fn is_spared(&self, section: &Section) -> bool {
        let of_space = |entry: &&ListEntry| entry.space == Some(section.space);
        let entry = self.list.iter().find(of_space);
        entry.is_some_and(|entry| entry.sparing_there & bit(section.class) != 0)
    }

    /// Whether the remote may lack files of a common section, by its own choice.
    pub(super) fn is_partial(&self, section: &Section) -> bool {
        let of_space = |entry: &&ListEntry| entry.space == Some(section.space);
        let entry = self.list.iter().find(of_space);
        entry.is_some_and(|entry| entry.partial_there & bit(section.class) != 0)
    }

    /// Keyed digest of a section as it is now.
    pub(super) fn digest(&self, section: &Section, exchange: &dyn Exchange) -> ExchangeResult<Tag> {
        let digest = exchange.digest(section)?;
        Ok(self.key.as_ref().map(|key| key.section(section, &digest)).unwrap_or_default())
    }
}

/// All classes, in the order in which they are compared.
pub(super) const CLASSES: [SectionClass; 4] =
    [SectionClass::Authority, SectionClass::Public, SectionClass::Visitors, SectionClass::Private];

/// Bit of a class in a mask.
pub(super) const fn bit(class: SectionClass) -> u8 {
    1 << (class as u8 - 1)
}
