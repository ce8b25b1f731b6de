//! Requests and their bodies, between the two machines.

use madang_protocol::{
    rules::rating::octet_price,
    session::{
        buyer::{Ended, UploadId},
        frame::ResponseId,
        seller::{Opening, Terms},
    },
};

use super::{Body, World};

/// A request's body that is on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upload {
    pub(super) id: UploadId,
    /// Octets not sent yet.
    left: u64,
    in_flight: u64,
}

/// Octets of an upload that fit between the two.
const UPLOAD_IN_FLIGHT_MAX: u64 = 300_000;

impl World {
    pub(super) fn request(&mut self, want: usize) {
        let Some(wanted) = self.wants.get(want).copied().filter(|one| !one.done) else {
            return;
        };
        let is_under_way = self.bodies.values().any(|body| body.want == want);
        if !self.ready || !self.connected || is_under_way || self.buyer.stopped().is_some() {
            return;
        }
        let from = if wanted.resumes { wanted.got } else { 0 };
        let (key, now) = (self.key_of(want), self.clock.now);
        let exposure = &mut self.exposure;
        let opened = if wanted.uploads > 0 {
            self.seller.ask(exposure, wanted.rule, false, now)
        } else {
            let opening = Opening {
                rule: wanted.rule,
                key,
                offset: Some(from),
            };
            self.seller.open_response(exposure, &opening, now)
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(reject) => {
                self.refusals += 1;
                self.last_refusal = Some(reject);
                return;
            }
        };
        assert_ne!(opened.terms, Terms::Free);
        self.wants[want].got = from;
        let mut body = Body {
            want,
            upload: None,
            left: wanted.octets - from,
            head_arrived: false,
            is_paid: opened.terms == Terms::Known,
            in_flight: 0,
            is_opened_at_buyer: false,
        };
        if wanted.uploads > 0 && !self.begin_upload(opened.response, &mut body) {
            return;
        }
        self.bodies.insert(opened.response, body);
    }

    /// The buyer begins to send a request's body; false when it may not.
    pub(super) fn begin_upload(&mut self, id: ResponseId, body: &mut Body) -> bool {
        let (want, now) = (self.wants[body.want], self.clock.now);
        match self.buyer.open_upload(want.rule, now) {
            Ok(upload) => {
                body.upload = Some(Upload {
                    id: upload,
                    left: want.uploads,
                    in_flight: 0,
                });
                true
            }
            Err(reject) => {
                self.last_refusal = Some(reject);
                self.seller.close_response(&mut self.exposure, id, now);
                false
            }
        }
    }

    /// Moves an upload on at both ends; true when there is none any more.
    pub(super) fn upload(&mut self, id: ResponseId, octets: u64) -> bool {
        let (body, now) = (self.bodies[&id], self.clock.now);
        let Some(mut upload) = body.upload else {
            return true;
        };
        let want = self.wants[body.want];
        let sent = octets
            .min(upload.left)
            .min(UPLOAD_IN_FLIGHT_MAX - upload.in_flight);
        if sent > 0 {
            self.received[want.rule].bytes += sent;
            if let Err(reject) = self.buyer.uploaded(upload.id, sent, now) {
                self.stopped = Some(reject);
                self.abandon(id, Ended::Cancelled);
                return false;
            }
            upload.left -= sent;
            upload.in_flight += sent;
        }
        let wanted = octets.min(upload.in_flight);
        let taken = self
            .seller
            .take_uploaded(&mut self.exposure, id, wanted, now)
            .unwrap();
        assert!(taken <= wanted);
        upload.in_flight -= taken;
        self.sent += octet_price(&self.tariff.rules[want.rule]).times(taken);
        self.bodies.get_mut(&id).unwrap().upload = Some(upload);
        if upload.left > 0 || upload.in_flight > 0 {
            return false;
        }
        self.bodies.get_mut(&id).unwrap().upload = None;
        self.buyer.close_upload(upload.id, now);
        let key = self.key_of(body.want);
        let from = Some(want.octets - body.left);
        let answered = self.seller.answer(&mut self.exposure, id, key, from, now);
        match answered {
            Ok(terms) => self.bodies.get_mut(&id).unwrap().is_paid = terms == Terms::Known,
            Err(reject) => {
                self.refusals += 1;
                self.last_refusal = Some(reject);
                self.abandon(id, Ended::Cancelled);
            }
        }
        false
    }
}
