-- Times are RFC 3339 in UTC with six digits, so that their order is that of their texts. Operations and
-- environments are names with commas between them; NULL restricts to none in particular.
ALTER TABLE keys ADD COLUMN label TEXT;
ALTER TABLE keys ADD COLUMN expires_at TEXT;
ALTER TABLE keys ADD COLUMN operations TEXT;
ALTER TABLE keys ADD COLUMN environments TEXT;
ALTER TABLE keys ADD COLUMN last_used_at TEXT COLLATE "C";
