select origin
from {{ source('ops', 'database_identity') }}
