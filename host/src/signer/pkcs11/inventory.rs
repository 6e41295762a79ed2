//! What there is: tokens, their keys and mechanisms, and which of them linkgate can use.

use cryptoki::error::Error;
use cryptoki::mechanism::MechanismType;

use super::contents::{Inventory, Item};
use super::error::TokenError;
use super::library::{Library, called, unanswered};
use super::object::{Class, Identity, Query, public_key};
use super::options::Options;
use super::reference::Reference;
use super::token::{Fault, Need, Seat};

/// Mechanisms that sign, and what for.
const MECHANISMS: [(MechanismType, &str); 7] = [
    (MechanismType::EDDSA, "Ed25519"),
    (MechanismType::ECDSA, "ECDSA on P-256, P-384 and P-521"),
    (MechanismType::SHA256_RSA_PKCS_PSS, "RSA-PSS with SHA-256"),
    (MechanismType::SHA256_RSA_PKCS, "RSA PKCS#1 v1.5 with SHA-256"),
    (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, "making Ed25519 keys"),
    (MechanismType::ECC_KEY_PAIR_GEN, "making ECDSA keys"),
    (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "making RSA keys"),
];

/// Every token that the options mean. Private keys are seen only after a login.
pub(super) fn list(options: &Options, log_in: bool) -> Result<Vec<Inventory>, TokenError> {
    let anything = Reference {
        text: "hsm list".to_owned(),
        ..Reference::default()
    };
    let library = Library::named(&anything, options)?;
    let mut inventories = Vec::new();
    for (slotted, token) in library.tokens(options, log_in)? {
        let (functions, slot, limit) = (library.functions().clone(), slotted.slot, options.limit());
        let mechanisms = library
            .patience()
            .call(limit, move || functions.get_mechanism_list(slot));
        let mechanisms = match mechanisms {
            Ok(Ok(mechanisms)) => mechanisms,
            Ok(Err(error)) => return Err(called(&token.shown(), "", &error)),
            Err(why) => return Err(unanswered(why, token.shown(), String::new(), limit)),
        };
        let need = if log_in { Need::User } else { Need::Public };
        inventories.push(Inventory {
            token: slotted.info.label().to_owned(),
            slot: slotted.slot.id(),
            index: slotted.index,
            make: [
                slotted.info.manufacturer_id(),
                slotted.info.model(),
                slotted.info.serial_number(),
            ]
            .join(", "),
            pin: match (slotted.info.user_pin_locked(), slotted.info.user_pin_final_try()) {
                (true, _) => Some("locked"),
                (false, true) => Some("one more wrong one locks it"),
                (false, false) => None,
            },
            mechanisms: MECHANISMS
                .iter()
                .map(|(mechanism, what)| (mechanism.to_string(), *what, mechanisms.contains(mechanism)))
                .collect(),
            keys: token.call(need, "", items)?,
        });
    }
    Ok(inventories)
}

fn items(seat: &Seat) -> Result<Vec<Item>, Fault> {
    let mut items = Vec::new();
    for (class, kind) in [
        (Class::Private, "private key"),
        (Class::Public, "public key"),
        (Class::Certificate, "certificate"),
    ] {
        for object in seat.find(&Query::all(class))? {
            let identity = Identity::read(seat, object)?;
            items.push(Item {
                kind,
                uri: identity.uri(),
                label: identity.name(),
                public: match public_key(seat, object, class, None) {
                    // The module has a value that PKCS#11 has not.
                    Err(error @ Error::NotSupported) => Err(error.to_string()),
                    read => read?,
                },
            });
        }
    }
    items.sort_by(|one, other| (&one.label, one.kind).cmp(&(&other.label, other.kind)));
    Ok(items)
}
