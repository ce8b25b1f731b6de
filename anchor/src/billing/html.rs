//! Documents as one HTML page: it loads nothing, runs nothing, prints well, and reads on a phone.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    Lines,
    sheet::{Sheet, SheetRow},
    words::Language,
};
use crate::operator::invoice_answer::DocumentAnswer;

/// The document as a page.
pub fn render(document: &DocumentAnswer, lines: &Lines, language: Language) -> String {
    let sheet = Sheet::new(document, lines, language);
    let page = html! {
        (DOCTYPE)
        html lang=(language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (sheet.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (sheet.title) }
                dl { @for (label, value) in &sheet.facts { div { dt { (label) } dd { (value) } } } }
                (table(&sheet))
                @for note in &sheet.notes { p.note { (note) } }
            }
        }
    };
    page.into_string()
}

fn table(sheet: &Sheet) -> Markup {
    let language = sheet.language;
    html! {
        table {
            thead {
                tr {
                    th scope="col" { (language.say("Date", "날짜")) }
                    th scope="col" { (language.say("With", "거래처")) }
                    th scope="col" { (language.say("Used", "사용 내역")) }
                    @for head in &sheet.heads { th.number scope="col" { (head) } }
                }
            }
            tbody { @for row in &sheet.rows { (line(sheet, row)) } }
            tfoot {
                @for (label, amounts) in &sheet.totals {
                    tr {
                        th scope="row" colspan="3" { (label) }
                        @for (head, amount) in sheet.heads.iter().zip(amounts) {
                            td.number data-label=(head) { (amount) }
                        }
                    }
                }
            }
        }
    }
}

fn line(sheet: &Sheet, row: &SheetRow) -> Markup {
    let language = sheet.language;
    html! {
        tr {
            td data-label=(language.say("Date", "날짜")) { (row.date) }
            td data-label=(language.say("With", "거래처")) {
                bdi { (row.partner) } br; bdi.soft { (row.site) }
            }
            td data-label=(language.say("Used", "사용 내역")) {
                @for (pattern, used) in &row.uses { div { code { (pattern) } " " (used) } }
                @for remark in &row.remarks { div.soft { (remark) } }
                div.hash { (language.say("receipt", "영수증")) " " (row.receipt) }
            }
            @for (head, amount) in sheet.heads.iter().zip(&row.amounts) {
                td.number data-label=(head) { (amount) }
            }
        }
    }
}

const STYLE: &str = "\
*{box-sizing:border-box}body{margin:0 auto;max-width:60rem;padding:2rem 1.25rem;font:1rem/1.5 system-ui,'Noto Sans KR',sans-serif;color:#1d2329;background:#fff}\
h1{font-size:1.5rem;margin:0 0 1rem}:lang(ko){word-break:keep-all}dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:.25rem 1.5rem;margin:0 0 1.5rem}\
dl div{display:flex;gap:.5rem}dt{color:#5b6670;min-width:6rem}dd{margin:0;overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem .4rem 0;border-bottom:1px solid #dcd8cf}\
td{overflow-wrap:anywhere}th{font-size:.88rem;color:#5b6670}.number{text-align:right;padding-right:0;padding-left:.6rem;white-space:nowrap;font-variant-numeric:tabular-nums}\
tfoot th,tfoot td{border-bottom:0;font-weight:600;color:inherit}.soft,.hash,.note{color:#5b6670;font-size:.85rem}.hash,.note{overflow-wrap:anywhere;font-size:.72rem}\
tr{break-inside:avoid}thead{display:table-header-group}@page{size:A4;margin:15mm}@media print{body{padding:0;max-width:none;font-size:.8rem}tfoot{display:table-row-group}}\
@media screen and (max-width:40rem){thead{display:none}tr{display:block;border-bottom:1px solid #dcd8cf;padding:.5rem 0}td,tfoot th{display:block;border:0;padding:.1rem 0;text-align:left}\
td::before{content:attr(data-label) ' ';color:#5b6670;font-size:.85rem}}";
