-- Who acted, and from where. Records from before say neither, and neither do those that an older gateway writes beside a
-- newer one.
ALTER TABLE audit ADD COLUMN actor TEXT;
ALTER TABLE audit ADD COLUMN client_address TEXT;
