//! Heads of chains of which this side showed a tip: the rest of them is known here.

use bytes::Bytes;

use crate::sync::exchange::{Exchange, ExchangeResult, KnownTip};
use crate::sync::plan::Own;
use crate::sync::session::Session;
use crate::wire::{HeadBytes, KnownHead, Part};

impl Session {
    /// The certificate path and the whole head of a chain that is given by its name; `None` if
    /// this side showed no such chain.
    pub(super) fn whole_head(
        &mut self,
        given: &KnownHead,
        parts: &[Part],
        exchange: &dyn Exchange,
    ) -> ExchangeResult<Option<(Bytes, HeadBytes)>> {
        self.name_listed();
        let Some(tip) = self.called(given.name) else { return Ok(None) };
        let Some(known) = exchange.introduce(&tip)? else { return Ok(None) };
        let link = match given.link {
            Some(link) => Some(link),
            None => exchange.leads_to(&tip.chain, given.n, parts)?,
        };
        Ok(link.map(|link| (known.path, given.whole(&known.head, &link))))
    }

    /// Names what was listed plainly, once.
    fn name_listed(&mut self) {
        let (Some(round), Some(key)) = (&self.round, &self.key) else { return };
        if !round.names.is_empty() || round.listed.is_empty() {
            return;
        }
        let mut names = Own::new();
        for (reference, tip) in &round.listed {
            let Some(section) = self.resolve(reference) else { continue };
            names.entry(key.chain_in(round.number, &tip.chain)).or_default().push((section, *tip));
        }
        if let Some(round) = &mut self.round {
            round.names = names;
        }
    }

    /// The chain that has this name in the round; none if two share it.
    fn called(&self, name: u32) -> Option<KnownTip> {
        let round = self.round.as_ref()?;
        let mut tips: Vec<KnownTip> = match (round.names.get(&name), &round.sending) {
            (Some(tips), _) => tips.iter().map(|(_, tip)| *tip).collect(),
            (None, Some(sending)) => sending.called(name).iter().map(|(.., tip)| *tip).collect(),
            (None, None) => Vec::new(),
        };
        let first = tips.pop()?;
        tips.iter().all(|tip| tip.chain == first.chain).then_some(first)
    }
}
