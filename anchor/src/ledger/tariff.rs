//! Price lists, kept by hash as long as a grant names them.

use madang_protocol::{ids::TariffHash, record::tariff::Tariff, sealed::Unverified};

use super::{
    pack,
    table::Table,
    view::{Fault, Invariant, Row, Tables, View},
};

/// The sealed octets of a tariff that grants name.
pub fn sealed(view: &impl View, hash: &TariffHash) -> Result<Option<Row>, Fault> {
    view.get(Table::Tariff, hash.as_bytes())
}

/// A tariff that grants name; its signature was checked when it was first heard of.
pub fn get(view: &impl View, hash: &TariffHash) -> Result<Option<Unverified<Tariff>>, Fault> {
    sealed(view, hash)?
        .map(|row| Unverified::from_bytes(&row).map_err(|_| Fault::Unreadable(Table::Tariff)))
        .transpose()
}

/// One more grant names the tariff.
pub(super) fn use_once_more(
    tables: &mut impl Tables,
    hash: &TariffHash,
    sealed: Option<Vec<u8>>,
) -> Result<(), Fault> {
    if let Some(octets) = sealed {
        tables.put(Table::Tariff, hash.as_bytes(), octets.into())?;
    } else if self::sealed(tables, hash)?.is_none() {
        return Err(Invariant::RowExists(Table::Tariff).into());
    }
    let uses = uses(tables, hash)?
        .checked_add(1)
        .ok_or(Invariant::SumFits)?;
    tables.put(Table::TariffUse, hash.as_bytes(), pack::row(&uses))
}

/// A grant that named the tariff is gone without a trace; with the last such grant the tariff goes.
pub(super) fn use_once_less(tables: &mut impl Tables, hash: &TariffHash) -> Result<(), Fault> {
    let left = uses(tables, hash)?
        .checked_sub(1)
        .ok_or(Invariant::RowExists(Table::TariffUse))?;
    if left > 0 {
        return tables.put(Table::TariffUse, hash.as_bytes(), pack::row(&left));
    }
    tables.delete(Table::TariffUse, hash.as_bytes())?;
    tables.delete(Table::Tariff, hash.as_bytes())
}

fn uses(view: &impl View, hash: &TariffHash) -> Result<u64, Fault> {
    view.get(Table::TariffUse, hash.as_bytes())?
        .map_or(Ok(0), |row| pack::value(Table::TariffUse, &row))
}
