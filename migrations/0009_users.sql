-- People: users with roles, and their sessions in browsers.

CREATE TABLE access.roles (
    name    text    COLLATE "C" PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,31}$'),
    scopes  text[]  NOT NULL CHECK (cardinality(scopes) > 0),
    -- Comes with the product and stays; what it may do can be changed, but for admin.
    builtin boolean NOT NULL DEFAULT false
);

INSERT INTO access.roles (name, scopes, builtin) VALUES
    ('viewer', '{catalog:read,stock:read,reservations:read,orders:read,warehouse_ops:read,purchasing:read,reports:read,events:read}', true),
    ('clerk', '{catalog:read,stock:write,reservations:write,orders:write,warehouse_ops:write,purchasing:read,reports:read,events:read}', true),
    ('manager', '{catalog:write,stock:write,reservations:write,orders:write,warehouse_ops:write,purchasing:write,reports:write,events:write}', true),
    ('admin', '{admin:write}', true);

CREATE TABLE access.users (
    id            uuid        PRIMARY KEY,
    -- In lower case, so that no two differ by case alone.
    login         text        COLLATE "C" NOT NULL UNIQUE CHECK (login = lower(login)),
    name          text        NOT NULL,
    role          text        COLLATE "C" NOT NULL REFERENCES access.roles,
    warehouses    text[]      CHECK (cardinality(warehouses) > 0),
    channels      text[]      CHECK (cardinality(channels) > 0),
    -- A PHC string; null for who has none yet, or logs in elsewhere.
    password_hash text        COLLATE "C",
    -- Who they are to an OpenID provider.
    issuer        text        COLLATE "C",
    subject       text        COLLATE "C",
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text        NOT NULL,
    last_login_at timestamptz,
    disabled_at   timestamptz,
    UNIQUE (issuer, subject),
    CHECK ((issuer IS NULL) = (subject IS NULL))
);
CREATE INDEX users_role ON access.users (role);

-- One per log-in; it ends by its deletion, or by its age.
CREATE TABLE access.sessions (
    id           uuid        PRIMARY KEY,
    hash         bytea       NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id      uuid        NOT NULL REFERENCES access.users,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    address      text,
    user_agent   text
);
CREATE INDEX sessions_user_id ON access.sessions (user_id);

-- Log-ins that failed in a row, by a digest of the login, whether or not somebody has it.
CREATE TABLE access.login_failures (
    login_hash bytea       PRIMARY KEY CHECK (length(login_hash) = 32),
    count      integer     NOT NULL,
    last_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
