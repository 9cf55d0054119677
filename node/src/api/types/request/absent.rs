//! Fields that a request leaves out.

use std::collections::BTreeMap;

/// Whether a field is left out of a request.
pub(super) trait Absent {
    fn is_absent(&self) -> bool;
}
impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}
impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> Absent for BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for String {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for bool {
    fn is_absent(&self) -> bool {
        !*self
    }
}
