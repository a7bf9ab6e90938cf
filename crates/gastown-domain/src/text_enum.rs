//! Enums that are stored and shown as text, with one line per variant.

/// Defines an enum with `ALL`, `as_str`, `FromStr` and serde, all by the same texts.
///
/// An unknown text is [`Invalid::Shape`](crate::Invalid::Shape) with `expected`.
macro_rules! text_enum {
    (
        expected $expected:literal;
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All variants.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// Returns the text that is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(raw: &str) -> Result<Self, $crate::Invalid> {
                match raw {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::Invalid::Shape { expected: $expected }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Invalid;

            fn try_from(raw: String) -> Result<Self, $crate::Invalid> {
                raw.parse()
            }
        }

        #[cfg(feature = "schema")]
        impl ::schemars::JsonSchema for $name {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                let description = concat!($($doc),*).trim();
                ::schemars::json_schema!({
                    "type": "string", "enum": Self::ALL.map(Self::as_str), "description": description,
                })
            }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> &'static str {
                value.as_str()
            }
        }
    };
}
pub(crate) use text_enum;
