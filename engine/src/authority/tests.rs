use std::cell::Cell;

use super::*;
use crate::entropy::SeededEntropy;
use crate::identity::{CertificateOffer, DeviceSecret, Genesis, Verifier};
use crate::limits::DEVICES_EVER_MAX;

mod recovery;

thread_local! {
    pub(super) static VISITS: Cell<usize> = const { Cell::new(0) };
}

const NOW: u64 = 1_700_000_000_000;

struct Account {
    path: CertificatePath,
    items: Vec<LogItem>,
}

impl Account {
    fn new() -> Self {
        let secret = DeviceSecret::generate(&SeededEntropy::new(1));
        let genesis = Genesis::create(&secret, [7; 32], NOW, &SeededEntropy::new(2));
        Self { path: CertificatePath::first(genesis), items: Vec::new() }
    }

    fn first(&self) -> VerifiedDevice {
        self.path.verify(&Verifier::default()).unwrap()
    }

    fn say(&mut self, device: DeviceId, entry: Entry) {
        let n = self.items.iter().filter(|item| item.device == device).count() as u64 + 1;
        let id = ChangeId::of(&(self.items.len() as u64).to_be_bytes());
        let (doc, incarnation) =
            (DocumentId::from_bytes([1; 32]), Incarnation::from_bytes([2; 16]));
        self.items.push(LogItem { id, doc, device, incarnation, n, time_ms: NOW, entry });
    }

    /// A device that `issuer` adds.
    fn add(&mut self, issuer: (&VerifiedDevice, &DeviceSecret), seed: u64, rank: u8) -> DeviceId {
        let secret = DeviceSecret::generate(&SeededEntropy::new(seed));
        let (verified, by) = issuer;
        let offer =
            CertificateOffer::issue(verified, by, secret.id(), secret.seal_key(), rank, NOW);
        let certificate = offer.unwrap().accept(&secret).unwrap().encode();
        self.say(by.id(), Entry::AddDevice { certificate, name: "x".into() });
        secret.id()
    }

    fn fold(&self) -> (Authority, usize) {
        let mut counting = Counting::default();
        let authority =
            Authority::fold(&self.first(), &self.path, &self.items, &mut counting, &|tip| tip.n);
        (authority, counting.admitted)
    }
}

/// Checks everything, and counts the certificates.
#[derive(Default)]
struct Counting {
    verifier: Verifier,
    admitted: usize,
}

impl Witness for Counting {
    fn admit(&mut self, issuer: &VerifiedDevice, new: &Certificate) -> Option<VerifiedDevice> {
        self.admitted += 1;
        issuer.admit(new, &self.verifier).ok()
    }

    fn recover(&mut self, genesis: &Genesis, new: &RecoveryCertificate) -> Option<VerifiedDevice> {
        VerifiedDevice::recovered(genesis, new, &self.verifier).ok()
    }

    fn rotates(&mut self, account: &AccountId, rotation: &Rotation) -> bool {
        rotation.verify(account, &self.verifier).is_ok()
    }
}

#[test]
fn an_account_has_so_many_devices_and_no_more() {
    let mut account = Account::new();
    let first = account.first();
    let secret = DeviceSecret::generate(&SeededEntropy::new(1));
    for seed in 0..DEVICES_EVER_MAX as u64 {
        account.add((&first, &secret), 100 + seed, 100);
    }
    let (authority, admitted) = account.fold();
    assert_eq!((authority.devices.len(), admitted), (DEVICES_EVER_MAX + 1, DEVICES_EVER_MAX));
    let late = account.add((&first, &secret), 9999, 100);
    let (authority, admitted) = account.fold();
    assert_eq!((authority.devices.len(), admitted), (DEVICES_EVER_MAX + 1, DEVICES_EVER_MAX));
    assert!(!authority.devices.contains_key(&late));
}

#[test]
fn a_device_of_lower_rank_pushes_nobody_out() {
    let mut account = Account::new();
    let first = account.first();
    let secret = DeviceSecret::generate(&SeededEntropy::new(1));
    let deputy = DeviceSecret::generate(&SeededEntropy::new(50));
    account.add((&first, &secret), 50, 150);
    let (authority, _) = account.fold();
    let verified = authority.devices.get(&deputy.id()).unwrap().verified.clone();
    for seed in 0..DEVICES_EVER_MAX as u64 {
        account.add((&verified, &deputy), 100 + seed, 120);
    }
    let honest = account.add((&first, &secret), 60, 100);
    assert!(account.fold().0.devices.contains_key(&honest));
}

#[test]
fn folding_costs_what_the_log_is_long() {
    let visits = |factor: u64| {
        let mut account = Account::new();
        let first = account.first();
        let secret = DeviceSecret::generate(&SeededEntropy::new(1));
        for seed in 0..20 * factor {
            let device = account.add((&first, &secret), 100 + seed, 100);
            account.say(secret.id(), Entry::Cut { device, tips: Vec::new() });
            let reason = String::new();
            account.say(secret.id(), Entry::Revoke { device, reason });
            account.say(secret.id(), Entry::Suspend { device });
        }
        account.fold();
        (VISITS.get(), account.items.len())
    };
    for factor in [1, 8] {
        let (visits, items) = visits(factor);
        assert!(visits <= 7 * items, "{visits} visits of {items} items");
    }
}
