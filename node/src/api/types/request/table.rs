//! One table makes the types of the requests, their paths and what the contract says of them.

macro_rules! requests {
    ($paths:ident $operations:ident; $(
        $(#[doc = $doc:literal])*
        $path:literal $node:ident $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty, )*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $name {
                $( $(#[doc = $field_doc])*
                   #[serde(skip_serializing_if = "Absent::is_absent")]
                   pub $field: $type, )*
            }
            impl Request for $name {
                const PATH: &'static str = $path;
                const NEEDS_NODE: bool = requests!(@ $node);
            }
        )*
        /// Paths of these operations.
        pub(in crate::api::types) const $paths: &[&str] = &[$($path),*];
        /// These operations with their arguments.
        pub(in crate::api::types) const $operations: &[Operation] = &[$(Operation {
            path: $path,
            needs_node: requests!(@ $node),
            doc: &[$($doc),*],
            fields: &[$(Field {
                name: stringify!($field),
                doc: &[$($field_doc),*],
                optional: <$type as Shape>::OPTIONAL,
                schema: <$type as Shape>::schema,
                parts: <$type as Shape>::parts,
            }),*],
        }),*];
    };
    (@ any) => { false };
    (@ node) => { true };
}
