//! The domain's ports on Fly.

mod apps;
mod inventory;
mod machines;
mod volumes;

use std::sync::Arc;

use gastown_domain::{
    UserId,
    ports::{UserCalls, UserTurns},
};

use crate::fly::Fly;

impl UserTurns for Fly {
    fn calls_of(&self, user: &UserId) -> UserCalls {
        let fly = Arc::new(self.for_user(user));
        UserCalls { apps: fly.clone(), volumes: fly.clone(), machines: fly }
    }
}
