//! Payments as ISO 20022 pain.001.001.09, `CustomerCreditTransferInitiationV09`.
//!
//! The schema itself cannot be had freely; its rules for what is written here (order, cardinality, patterns, lengths) stand in the tests.

use super::{
    latin::Letters,
    transfer::{Order, Transfer, TransferError, decimal},
};
use crate::vault::{bank::Bic, profile::BankAccount};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\"><CstmrCdtTrfInitn>";
const TAIL: &str = "</PmtInf></CstmrCdtTrfInitn></Document>\n";

/// The document of an order: the same octets for the same order and letters.
///
/// # Errors
/// [`TransferError`].
pub fn write(order: &Order, letters: Letters) -> Result<String, TransferError> {
    let mut document = Document {
        text: HEAD.to_owned(),
        letters,
    };
    let count = order.transfers.len().to_string();
    let sum = decimal(order.sum()?, order.currency);
    let debtor = &order.debtor;
    document.within("GrpHdr", |header| {
        header.leaf("MsgId", &order.id);
        header.leaf("CreDtTm", &order.created.to_string());
        header.leaf("NbOfTxs", &count);
        header.leaf("CtrlSum", &sum);
        header.within("InitgPty", |party| party.words("Nm", debtor.name.as_str()));
    });
    document.text.push_str("<PmtInf>");
    document.leaf("PmtInfId", &order.id);
    document.leaf("PmtMtd", "TRF");
    document.leaf("NbOfTxs", &count);
    document.leaf("CtrlSum", &sum);
    let day = order.execute.to_string();
    document.within("ReqdExctnDt", |date| date.leaf("Dt", &day));
    document.within("Dbtr", |party| party.words("Nm", debtor.name.as_str()));
    document.within("DbtrAcct", |account| {
        account.within("Id", |id| id.leaf("IBAN", debtor.iban.as_str()));
    });
    document.within("DbtrAgt", |agent| agent.bank(debtor.bic.as_ref()));
    for transfer in &order.transfers {
        document.transfer(transfer, order);
    }
    document.text.push_str(TAIL);
    Ok(document.text)
}

struct Document {
    text: String,
    letters: Letters,
}

impl Document {
    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name}>"));
        inside(self);
        self.text.push_str(&format!("</{name}>"));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let text = escaped(text);
        self.text.push_str(&format!("<{name}>{text}</{name}>"));
    }

    /// What people wrote, in the bank's letters.
    fn words(&mut self, name: &str, text: &str) {
        let text = self.letters.write(text);
        // An element of no letters is refused by the schema.
        let text = if text.trim().is_empty() { "." } else { &text };
        self.leaf(name, text);
    }

    fn bank(&mut self, bic: Option<&Bic>) {
        self.within("FinInstnId", |bank| match bic {
            Some(bic) => bank.leaf("BICFI", bic.as_str()),
            None => bank.within("Othr", |other| other.leaf("Id", "NOTPROVIDED")),
        });
    }

    fn transfer(&mut self, transfer: &Transfer, order: &Order) {
        let currency = order.currency;
        let amount = decimal(transfer.amount, currency);
        self.within("CdtTrfTxInf", |it| {
            it.within("PmtId", |id| id.leaf("EndToEndId", &transfer.id));
            it.within("Amt", |amt| {
                let text = format!("<InstdAmt Ccy=\"{currency}\">{amount}</InstdAmt>");
                amt.text.push_str(&text);
            });
            it.within("CdtrAgt", |agent| match &transfer.account {
                BankAccount::Iban { bic, .. } => agent.bank(bic.as_ref()),
                BankAccount::Domestic { bank, .. } => agent.within("FinInstnId", |institution| {
                    institution.within("ClrSysMmbId", |id| id.leaf("MmbId", bank.as_str()));
                }),
            });
            it.within("Cdtr", |creditor| creditor.creditor(transfer));
            it.within("CdtrAcct", |account| {
                account.within("Id", |id| match &transfer.account {
                    BankAccount::Iban { iban, .. } => id.leaf("IBAN", iban.as_str()),
                    BankAccount::Domestic { number, .. } => {
                        id.within("Othr", |other| other.leaf("Id", number.as_str()));
                    }
                });
            });
            it.within("RmtInf", |info| info.leaf("Ustrd", &transfer.id));
        });
    }

    fn creditor(&mut self, transfer: &Transfer) {
        self.words("Nm", transfer.holder.as_str());
        if transfer.country.is_none() && transfer.address.is_empty() {
            return;
        }
        self.within("PstlAdr", |address| {
            if let Some(country) = &transfer.country {
                address.leaf("Ctry", country.as_str());
            }
            for line in &transfer.address {
                // A letter may become two: a line has 70 at most.
                let line: String = address
                    .letters
                    .write(line.as_str())
                    .chars()
                    .take(70)
                    .collect();
                address.words("AdrLine", &line);
            }
        });
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;")
}

#[cfg(test)]
pub(super) mod tests;
