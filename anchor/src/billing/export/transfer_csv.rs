//! Payments as a table (RFC 4180), for banks and people without ISO 20022.
//!
//! A cell that a spreadsheet would take for a formula has an apostrophe before it.

use super::transfer::{Order, TransferError, decimal};
use crate::vault::profile::BankAccount;

const HEAD: &str = "id,holder,iban,bic,account-number,bank,amount,currency\r\n";

/// The table of an order: the same octets for the same order.
///
/// # Errors
/// [`TransferError`].
pub fn write(order: &Order) -> Result<String, TransferError> {
    order.sum()?;
    let mut table = HEAD.to_owned();
    for transfer in &order.transfers {
        let (iban, bic, number, bank) = match &transfer.account {
            BankAccount::Iban { iban, bic } => (
                iban.as_str(),
                bic.as_ref().map_or("", |bic| bic.as_str()),
                "",
                "",
            ),
            BankAccount::Domestic { number, bank } => ("", "", number.as_str(), bank.as_str()),
        };
        let amount = decimal(transfer.amount, order.currency);
        let cells = [
            transfer.id.as_str(),
            transfer.holder.as_str(),
            iban,
            bic,
            number,
            bank,
            &amount,
            order.currency.as_str(),
        ];
        table.push_str(&cells.map(cell).join(","));
        table.push_str("\r\n");
    }
    Ok(table)
}

fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\r', '\n']) || is_formula {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::billing::export::pain001::tests::{order, transfer};

    #[test]
    fn cells_are_quoted_and_no_cell_is_a_formula() {
        let mut order = order(vec![transfer("p-1", "1234"), transfer("p-2", "5")]);
        order.transfers[0].holder = "=HYPERLINK(\"http://x\",\"y\")".parse().unwrap();
        order.transfers[1].holder = "Kim, \"Mina\"".parse().unwrap();
        order.transfers[1].account = BankAccount::Domestic {
            number: "-110-123".parse().unwrap(),
            bank: "088".parse().unwrap(),
        };
        assert_eq!(
            write(&order).unwrap(),
            "id,holder,iban,bic,account-number,bank,amount,currency\r\n\
             p-1,\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",DE89370400440532013000,,,,1234,KRW\r\n\
             p-2,\"Kim, \"\"Mina\"\"\",,,\"'-110-123\",088,5,KRW\r\n"
        );
    }
}
