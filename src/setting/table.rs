//! Pure. Tables of `gateway.toml`, each a struct: a line gives a key its default and its rule. The file is read into the
//! struct as it stands, so what it leaves out stays as it was.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A fault of the file and its place.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

/// The keys of each table, by its path.
pub(crate) type Keys = BTreeMap<String, Vec<&'static str>>;

/// The keys of a table that contradict each other, and the fault. The first of them that is in the file is its place.
pub(crate) type Clash = (&'static [&'static str], String);

/// The unknown keys, by their path, and their places.
pub(crate) type Unknown = Vec<(String, Range<usize>)>;

/// A key of the file and its value.
pub(crate) struct Entry<'a, 'text> {
    /// The path of its table.
    path: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a Spanned<DeValue<'text>>,
    /// Where unknown keys are noted.
    unknown: &'a mut Unknown,
}

impl Entry<'_, '_> {
    /// Takes each entry of the table that is the value. An entry that is not taken is not known.
    pub(crate) fn below(
        &mut self,
        mut take: impl FnMut(&mut Entry<'_, '_>) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(Fault { span: self.value.span(), message: format!("{} must be a table", self.key) });
        };
        each_entry(table, &joined(self.path, self.key), self.unknown, &mut take)
    }
}

fn each_entry(
    table: &DeTable<'_>,
    path: &str,
    unknown: &mut Unknown,
    take: &mut impl FnMut(&mut Entry<'_, '_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    for (key, value) in table {
        if !take(&mut Entry { path, key: key.get_ref(), value, unknown })? {
            unknown.push((joined(path, key.get_ref()), key.span()));
        }
    }
    Ok(())
}

/// A table of the file.
pub(crate) trait Table {
    /// Adds the keys of this table, which has this path, and of those below it.
    fn keys(path: &str, keys: &mut Keys);

    /// Takes an entry. False: its key is not known.
    fn take(&mut self, entry: &mut Entry<'_, '_>) -> Result<bool, Fault>;
}

/// Reads the file into what it is. Returns the unknown keys.
pub(crate) fn read(into: &mut impl Table, file: &DeTable<'_>) -> Result<Unknown, Fault> {
    let mut unknown = Unknown::new();
    each_entry(file, "", &mut unknown, &mut |entry| into.take(entry))?;
    Ok(unknown)
}

/// A table that is there only where the file has a key of it.
impl<T: Table + Default> Table for Option<T> {
    fn keys(path: &str, keys: &mut Keys) {
        T::keys(path, keys);
    }

    fn take(&mut self, entry: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        self.get_or_insert_default().take(entry)
    }
}

/// A table whose keys are those of both.
impl<A: Table, B: Table> Table for (A, B) {
    fn keys(path: &str, keys: &mut Keys) {
        A::keys(path, keys);
        B::keys(path, keys);
    }

    fn take(&mut self, entry: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        Ok(self.0.take(entry)? || self.1.take(entry)?)
    }
}

/// The rule of a field: the key or the table that sets it.
pub(crate) trait Rule<T> {
    /// Adds the keys of the field, which has this name in the table of this path.
    fn keys(&self, name: &'static str, path: &str, keys: &mut Keys);

    /// Takes an entry. False: its key is not of this field.
    fn take(&self, field: &mut T, name: &'static str, entry: &mut Entry<'_, '_>) -> Result<bool, Fault>;
}

/// A field that is a table.
pub(crate) struct Below<T>(fn(&T) -> Option<Clash>);

/// A field that is a table.
pub(crate) fn below<T>() -> Below<T> {
    Below(|_| None)
}

/// A field that is a table whose keys may contradict each other.
pub(crate) fn checked<T>(clash: fn(&T) -> Option<Clash>) -> Below<T> {
    Below(clash)
}

impl<T: Table> Rule<T> for Below<T> {
    fn keys(&self, name: &'static str, path: &str, keys: &mut Keys) {
        keys.entry(path.to_owned()).or_default().push(name);
        T::keys(&joined(path, name), keys);
    }

    fn take(&self, field: &mut T, name: &'static str, entry: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        if entry.key != name {
            return Ok(false);
        }
        entry.below(|entry| field.take(entry))?;
        let Some((keys, message)) = (self.0)(field) else { return Ok(true) };
        let place = keys.iter().find_map(|key| entry.value.get_ref().get(*key)).unwrap_or(entry.value);
        Err(Fault { span: place.span(), message })
    }
}

/// A field whose keys are in the same table.
pub(crate) struct Flat;

impl<T: Table> Rule<T> for Flat {
    fn keys(&self, _: &'static str, path: &str, keys: &mut Keys) {
        T::keys(path, keys);
    }

    fn take(&self, field: &mut T, _: &'static str, entry: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        field.take(entry)
    }
}

/// A field that the file does not set.
pub(crate) struct Unset;

impl<T> Rule<T> for Unset {
    fn keys(&self, _: &'static str, _: &str, _: &mut Keys) {}

    fn take(&self, _: &mut T, _: &'static str, _: &mut Entry<'_, '_>) -> Result<bool, Fault> {
        Ok(false)
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Defines a table: `field: Type = default, rule;`.
macro_rules! table {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty = $default:expr, $rule:expr;)*
    }) => {
        $(#[$about])*
        $vis struct $name {
            $($(#[$doc])* $field_vis $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::setting::Table for $name {
            fn keys(path: &str, keys: &mut $crate::setting::Keys) {
                $($crate::setting::Rule::<$type>::keys(&$rule, stringify!($field), path, keys);)*
            }

            fn take(
                &mut self,
                entry: &mut $crate::setting::Entry<'_, '_>,
            ) -> Result<bool, $crate::setting::Fault> {
                use $crate::setting::Rule;
                Ok($($rule.take(&mut self.$field, stringify!($field), entry)? ||)* false)
            }
        }
    };
}
pub(crate) use table;

/// A table that stands alone in a text.
#[cfg(test)]
pub(crate) fn of_text<T: Table + Default>(text: &str) -> T {
    let mut into = T::default();
    assert!(read(&mut into, DeTable::parse(text).unwrap().get_ref()).unwrap().is_empty(), "{text}");
    into
}
