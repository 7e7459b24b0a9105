//! Pure. Tables of `gateway.toml`, each a struct: a line gives a key its default and its rule. The table is read into the struct
//! as it stands, so what a file leaves out stays as it was.

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

/// A value of the file and its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// The keys of each table, by its path.
pub(crate) type Keys = BTreeMap<String, Vec<&'static str>>;

/// The keys of a table that contradict each other, and the fault. The first of them that is in the file is its place.
pub(crate) type Clash = (&'static [&'static str], String);

/// The progress of reading.
#[derive(Default)]
pub(crate) struct Reading {
    /// The path of the table that is read.
    path: String,
    /// The unknown keys so far, by their path.
    pub(crate) unknown: Vec<(String, Range<usize>)>,
}

impl Reading {
    /// Notes that this key is not known.
    pub(crate) fn unknown(&mut self, key: &str, span: Range<usize>) {
        self.unknown.push((joined(&self.path, key), span));
    }

    /// Reads the table below this key.
    pub(crate) fn below<'a>(
        &mut self,
        key: &str,
        value: &'a Value<'_>,
        read: impl FnOnce(&mut Self, &'a DeTable<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(Fault { span: value.span(), message: format!("{key} must be a table") });
        };
        let path = joined(&self.path, key);
        let path = std::mem::replace(&mut self.path, path);
        read(self, table)?;
        self.path = path;
        Ok(())
    }
}

/// A table of the file.
pub(crate) trait Table {
    /// Adds the keys of this table, which has this path, and of those below it.
    fn keys(path: &str, keys: &mut Keys);

    /// Takes the value of a key. False: the key is not known.
    fn take(&mut self, key: &str, value: &Value<'_>, reading: &mut Reading) -> Result<bool, Fault>;
}

/// Reads a table into what it is.
pub(crate) fn read(into: &mut impl Table, table: &DeTable<'_>, reading: &mut Reading) -> Result<(), Fault> {
    for (key, value) in table {
        if !into.take(key.get_ref(), value, reading)? {
            reading.unknown(key.get_ref(), key.span());
        }
    }
    Ok(())
}

/// A table that is there only where the file has a key of it.
impl<T: Table + Default> Table for Option<T> {
    fn keys(path: &str, keys: &mut Keys) {
        T::keys(path, keys);
    }

    fn take(&mut self, key: &str, value: &Value<'_>, reading: &mut Reading) -> Result<bool, Fault> {
        self.get_or_insert_default().take(key, value, reading)
    }
}

/// A table whose keys are those of both.
impl<A: Table, B: Table> Table for (A, B) {
    fn keys(path: &str, keys: &mut Keys) {
        A::keys(path, keys);
        B::keys(path, keys);
    }

    fn take(&mut self, key: &str, value: &Value<'_>, reading: &mut Reading) -> Result<bool, Fault> {
        Ok(self.0.take(key, value, reading)? || self.1.take(key, value, reading)?)
    }
}

/// The rule of a field: the key or the table that sets it.
pub(crate) trait Rule<T> {
    /// Adds the keys of the field, which has this name in the table of this path.
    fn keys(&self, name: &'static str, path: &str, keys: &mut Keys);

    /// Takes the value of a key. False: the key is not of this field.
    fn take(
        &self,
        field: &mut T,
        name: &'static str,
        key: &str,
        value: &Value<'_>,
        reading: &mut Reading,
    ) -> Result<bool, Fault>;
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

    fn take(
        &self,
        field: &mut T,
        name: &'static str,
        key: &str,
        value: &Value<'_>,
        reading: &mut Reading,
    ) -> Result<bool, Fault> {
        if key != name {
            return Ok(false);
        }
        reading.below(name, value, |reading, table| {
            read(field, table, reading)?;
            let Some((keys, message)) = (self.0)(field) else { return Ok(()) };
            let place = keys.iter().find_map(|key| table.get(*key)).unwrap_or(value);
            Err(Fault { span: place.span(), message })
        })?;
        Ok(true)
    }
}

/// A field whose keys are in the same table.
pub(crate) struct Flat;

impl<T: Table> Rule<T> for Flat {
    fn keys(&self, _: &'static str, path: &str, keys: &mut Keys) {
        T::keys(path, keys);
    }

    fn take(
        &self,
        field: &mut T,
        _: &'static str,
        key: &str,
        value: &Value<'_>,
        reading: &mut Reading,
    ) -> Result<bool, Fault> {
        field.take(key, value, reading)
    }
}

/// A field that the file does not set.
pub(crate) struct Unset;

impl<T> Rule<T> for Unset {
    fn keys(&self, _: &'static str, _: &str, _: &mut Keys) {}

    fn take(
        &self,
        _: &mut T,
        _: &'static str,
        _: &str,
        _: &Value<'_>,
        _: &mut Reading,
    ) -> Result<bool, Fault> {
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
                key: &str,
                value: &$crate::setting::table::Value<'_>,
                reading: &mut $crate::setting::Reading,
            ) -> Result<bool, $crate::setting::Fault> {
                use $crate::setting::Rule;
                Ok($($rule.take(&mut self.$field, stringify!($field), key, value, reading)? ||)* false)
            }
        }
    };
}
pub(crate) use table;

/// A table that stands alone in a text.
#[cfg(test)]
pub(crate) fn of_text<T: Table + Default>(text: &str) -> T {
    let mut into = T::default();
    read(&mut into, DeTable::parse(text).unwrap().get_ref(), &mut Reading::default()).unwrap();
    into
}
