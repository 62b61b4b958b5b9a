-- Log-ins by an OpenID provider that are on their way. Who a user is to the provider stands with the user.

CREATE TABLE access.pending_logins (
    -- Of the secret that the browser keeps meanwhile; what the provider is given are other digests of it.
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    return_to  text        COLLATE "C" NOT NULL CHECK (length(return_to) <= 1000),
    -- From where it was begun: so many from one network, and no more.
    network    text        COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX pending_logins_network ON access.pending_logins (network, created_at);
CREATE INDEX pending_logins_created_at ON access.pending_logins (created_at);
