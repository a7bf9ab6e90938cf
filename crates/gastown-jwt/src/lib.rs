//! Mints gateway tokens for sandboxes and verifies the tokens of users.
