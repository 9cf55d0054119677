//! What was received in one scope and what became of it.

use std::collections::BTreeSet;

use crate::chain::ChainKey;
use crate::sync::exchange::{
    Exchange, ExchangeResult, ForkReport, GapReport, Receipt, Section, Verdict,
};
use crate::sync::keys::SessionKey;
use crate::sync::outcome::{CAUSES_KEPT_MAX, Cause, Side};
use crate::sync::tally::Tally;
use crate::wire::{CAUSES_MAX, ChainCause, Reason, Tag};

/// Reports kept of each kind.
const REPORTS_MAX: usize = 256;
/// Causes kept by name until it is known whether what came later ended them: most gaps of a first
/// copy are filled in the same round, and one that is not kept would count to its end.
const OPEN_CAUSES_MAX: usize = 16_384;

/// Receipts of one scope, added up.
#[derive(Debug, Default)]
pub struct Ledger {
    pub touched: BTreeSet<Section>,
    pub causes: Vec<Cause>,
    pub causes_total: u64,
    open_kept: usize,
    others_kept: usize,
    pub forks: Vec<ForkReport>,
    pub gaps: Vec<GapReport>,
    pub store_failed: bool,
    /// All causes by reason, until the session counts them as its own.
    pub tally: Tally,
}

impl Ledger {
    pub fn add(&mut self, receipt: &Receipt) {
        for chain in &receipt.chains {
            self.touched.extend(chain.section);
            if let Verdict::Refused(reason) | Verdict::Deferred(reason) = chain.verdict {
                self.blame(chain.section, chain.chain, chain.from_n, reason);
            }
        }
        let room = REPORTS_MAX.saturating_sub(self.forks.len());
        self.forks.extend(receipt.forks.iter().take(room));
        let room = REPORTS_MAX.saturating_sub(self.gaps.len());
        self.gaps.extend(receipt.gaps.iter().take(room));
    }

    /// Keeps only gaps that what came later did not fill: pages travel newest first, so
    /// that most pages are named before they arrive.
    pub fn settle_gaps(&mut self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        let mut open = Vec::new();
        for gap in std::mem::take(&mut self.gaps) {
            let known = exchange.chain_tips(&gap.chain)?.into_iter().map(|(_, tip)| tip.n).max();
            if known.unwrap_or(0) < gap.n && !open.contains(&gap) {
                open.push(gap);
            }
        }
        self.gaps = open;
        self.settle_causes(exchange)
    }

    /// Keeps only causes that what came later did not end: what a change needed may arrive after
    /// it, in the same round. What the other side says of itself stands. Names no more than an
    /// outcome does, gaps last.
    fn settle_causes(&mut self, exchange: &dyn Exchange) -> ExchangeResult<()> {
        for cause in std::mem::take(&mut self.causes) {
            let settles = cause.reason == Reason::Gap && cause.side == Side::Here;
            let held = match cause.chain.filter(|_| settles) {
                Some(chain) => {
                    let tips = exchange.chain_tips(&chain)?.into_iter();
                    tips.map(|(_, tip)| tip.held_n).max().unwrap_or(0)
                }
                None => 0,
            };
            if cause.from_n > 0 && held >= cause.from_n {
                self.causes_total = self.causes_total.saturating_sub(1);
            } else {
                self.causes.push(cause);
            }
        }
        self.causes.sort_by_key(|cause| cause.reason == Reason::Gap);
        self.causes.truncate(CAUSES_KEPT_MAX);
        Ok(())
    }

    pub fn blame(
        &mut self,
        section: Option<Section>,
        chain: Option<ChainKey>,
        from_n: u64,
        reason: Reason,
    ) {
        self.causes_total += 1;
        self.tally.add(reason);
        let (kept, kept_max) = match reason {
            Reason::Gap => (&mut self.open_kept, OPEN_CAUSES_MAX),
            _ => (&mut self.others_kept, CAUSES_KEPT_MAX),
        };
        if *kept < kept_max {
            *kept += 1;
            self.causes.push(Cause { side: Side::Here, section, chain, from_n, reason });
        }
    }

    /// The causes as told to the other side.
    pub fn told(&self, key: &SessionKey) -> Vec<ChainCause> {
        let tag = |chain: &Option<ChainKey>| chain.map_or(Tag::default(), |c| key.chain(&c));
        let first = self.causes.iter().take(CAUSES_MAX);
        first
            .map(|cause| ChainCause {
                tag: tag(&cause.chain),
                from_n: cause.from_n,
                reason: cause.reason,
            })
            .collect()
    }
}
